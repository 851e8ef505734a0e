//! [`SchedulerKind`]: the samplers and their names.

use std::fmt;
use std::str::FromStr;

use super::names::plain;
use super::spacing::Spacing;
use crate::error::{Error, ErrorKind, Result};

/// A sampler: the rule that computes the next sample from the network's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchedulerKind {
    /// Denoising diffusion implicit models, arXiv:2010.02502.
    Ddim,
    /// Denoising diffusion probabilistic models, arXiv:2006.11239.
    Ddpm,
    /// Euler's method on the probability-flow equation, arXiv:2206.00364.
    Euler,
    /// Euler's method that replaces a part of the noise in every step.
    EulerAncestral,
    /// Heun's method, arXiv:2206.00364: two evaluations a step.
    Heun,
    /// DPM-Solver++ (2M), arXiv:2211.01095.
    DpmSolver2M,
    /// DPM-Solver++ (2M) on the noise levels of arXiv:2206.00364, equation 5.
    DpmSolver2MKarras,
    /// DPM-Solver++ (2M) that adds fresh noise in every step.
    DpmSolver2MSde,
    /// DPM-Solver++ (SDE) of k-diffusion: two evaluations a step, fresh noise in each.
    DpmSolverSde,
    /// UniPC, arXiv:2302.04867.
    UniPc,
    /// Latent consistency models, arXiv:2310.04378.
    Lcm,
    /// Trajectory consistency distillation, arXiv:2402.19159.
    Tcd,
    /// UFOGen, arXiv:2311.09257: one step, or a few that add noise to the predicted image again.
    UfoGen,
    /// Pseudo linear multistep (PLMS) of PNDM, arXiv:2202.09778.
    Pndm,
    /// The second-order solver of arXiv:2206.00364, algorithm 2, without its noise: two evaluations a
    /// step, the second halfway in ln σ.
    Dpm2,
    /// [`Dpm2`](SchedulerKind::Dpm2) that replaces a part of the noise in every step.
    Dpm2Ancestral,
    /// Linear multistep of k-diffusion: Adams–Bashforth of fourth order over the noise levels.
    Lms,
    /// Exponential integrator (DEIS), arXiv:2204.13902, multistep in ln ρ.
    Deis,
    /// DPM-Solver++ (2S), arXiv:2211.01095: of second order in single steps.
    DpmSolver2S,
    /// DPM-Solver++ of third order in single steps.
    DpmSolver3S,
    /// DPM-Solver++ (3M): multistep of third order.
    DpmSolver3M,
    /// DPM-Solver++ (3M) that adds fresh noise in every step.
    DpmSolver3MSde,
    /// Euler's method for networks with the preconditioning of arXiv:2206.00364 (EDM).
    EdmEuler,
    /// Multistep DPM-Solver++ for networks with the preconditioning of arXiv:2206.00364 (EDM).
    EdmDpmSolver,
    /// DDIM with CFG++, arXiv:2406.08070: a guidance scale from 0 to 1, and the unconditional output as
    /// the noise of the next step.
    DdimCfgPp,
    /// Euler's method with CFG++, arXiv:2406.08070, as ComfyUI has it.
    EulerCfgPp,
}

use SchedulerKind::*;

impl SchedulerKind {
    /// Every sampler.
    pub const ALL: [SchedulerKind; 26] = [
        Ddim,
        Ddpm,
        Euler,
        EulerAncestral,
        Heun,
        DpmSolver2M,
        DpmSolver2MKarras,
        DpmSolver2MSde,
        DpmSolverSde,
        UniPc,
        Lcm,
        Tcd,
        UfoGen,
        Pndm,
        Dpm2,
        Dpm2Ancestral,
        Lms,
        Deis,
        DpmSolver2S,
        DpmSolver3S,
        DpmSolver3M,
        DpmSolver3MSde,
        EdmEuler,
        EdmDpmSolver,
        DdimCfgPp,
        EulerCfgPp,
    ];

    /// The name on the command line, such as `dpm++2m`.
    pub fn name(self) -> &'static str {
        match self {
            Ddim => "ddim",
            Ddpm => "ddpm",
            Euler => "euler",
            EulerAncestral => "euler-ancestral",
            Heun => "heun",
            DpmSolver2M => "dpm++2m",
            DpmSolver2MKarras => "dpm++2m-karras",
            DpmSolver2MSde => "dpm++2m-sde",
            DpmSolverSde => "dpm++sde",
            UniPc => "unipc",
            Lcm => "lcm",
            Tcd => "tcd",
            UfoGen => "ufogen",
            Pndm => "pndm",
            Dpm2 => "dpm2",
            Dpm2Ancestral => "dpm2-ancestral",
            Lms => "lms",
            Deis => "deis",
            DpmSolver2S => "dpm++2s",
            DpmSolver3S => "dpm++3s",
            DpmSolver3M => "dpm++3m",
            DpmSolver3MSde => "dpm++3m-sde",
            EdmEuler => "edm-euler",
            EdmDpmSolver => "edm-dpm++",
            DdimCfgPp => "ddim-cfg++",
            EulerCfgPp => "euler-cfg++",
        }
    }

    /// The diffusers class, the `_class_name` of a `scheduler_config.json`. The variants of
    /// multistep DPM-Solver++ share one, those of single steps another, and `UFOGenScheduler` and those of CFG++ exist in croquis only.
    pub fn class_name(self) -> &'static str {
        match self {
            Ddim => "DDIMScheduler",
            Ddpm => "DDPMScheduler",
            Euler => "EulerDiscreteScheduler",
            EulerAncestral => "EulerAncestralDiscreteScheduler",
            Heun => "HeunDiscreteScheduler",
            DpmSolver2M | DpmSolver2MKarras | DpmSolver2MSde | DpmSolver3M | DpmSolver3MSde => {
                "DPMSolverMultistepScheduler"
            }
            DpmSolverSde => "DPMSolverSDEScheduler",
            UniPc => "UniPCMultistepScheduler",
            Lcm => "LCMScheduler",
            Tcd => "TCDScheduler",
            UfoGen => "UFOGenScheduler",
            Pndm => "PNDMScheduler",
            Dpm2 => "KDPM2DiscreteScheduler",
            Dpm2Ancestral => "KDPM2AncestralDiscreteScheduler",
            Lms => "LMSDiscreteScheduler",
            Deis => "DEISMultistepScheduler",
            DpmSolver2S | DpmSolver3S => "DPMSolverSinglestepScheduler",
            EdmEuler => "EDMEulerScheduler",
            EdmDpmSolver => "EDMDPMSolverMultistepScheduler",
            DdimCfgPp => "DDIMCFGPPScheduler",
            EulerCfgPp => "EulerCFGPPScheduler",
        }
    }

    /// The [`plain`] names of the same sampler in AUTOMATIC1111, ComfyUI, InvokeAI and
    /// stable-diffusion.cpp, where they are not croquis' own.
    fn others(self) -> &'static [&'static str] {
        match self {
            EulerAncestral => &["eulera"],
            DpmSolver2MKarras => &["dpm++2mk"],
            UniPc => &["unipcbh2"],
            Pndm => &["plms"],
            Dpm2Ancestral => &["dpm2a"],
            _ => &[],
        }
    }

    /// Whether the sampler guides as CFG++ (arXiv:2406.08070), by the unconditional output.
    pub(crate) fn is_cfg_pp(self) -> bool {
        matches!(self, DdimCfgPp | EulerCfgPp)
    }

    /// Whether the sampler has a random part of variable strength: η or γ.
    pub(crate) fn has_eta(self) -> bool {
        matches!(self, Ddim | DdimCfgPp | Tcd)
    }

    /// The spacings that the sampler supports, as in diffusers. LCM and TCD have one of their own,
    /// from their distillation.
    pub fn spacings(self) -> &'static [Spacing] {
        match self {
            DpmSolver2M | DpmSolver2MSde | DpmSolver3M | DpmSolver3MSde => &Spacing::ALL,
            Euler | EulerCfgPp | Heun | DpmSolverSde | UniPc | Dpm2 | Dpm2Ancestral | Lms
            | Deis => &Spacing::WITHOUT_LU,
            DpmSolver2S | DpmSolver3S => {
                &[Spacing::Linspace, Spacing::Karras, Spacing::Exponential, Spacing::Beta]
            }
            EdmEuler | EdmDpmSolver => &[Spacing::Karras, Spacing::Exponential],
            DpmSolver2MKarras => &[Spacing::Karras],
            Ddim | DdimCfgPp | Ddpm | EulerAncestral | UfoGen | Pndm => {
                &[Spacing::Leading, Spacing::Linspace, Spacing::Trailing]
            }
            Lcm | Tcd => &[],
        }
    }
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SchedulerKind {
    type Err = Error;

    /// Parses a command-line name, a diffusers class or another program's name, such as `Euler a`
    /// or `dpmpp_2m`, in capitals or not; the error lists the command-line names.
    fn from_str(name: &str) -> Result<Self> {
        let wanted = plain(name);
        let known = |kind: &SchedulerKind| {
            [kind.name(), kind.class_name()].iter().any(|own| plain(own) == wanted)
                || kind.others().contains(&wanted.as_str())
        };
        SchedulerKind::ALL.into_iter().find(known).ok_or_else(|| {
            let names = SchedulerKind::ALL.map(SchedulerKind::name).join(", ");
            let message = format!("scheduler: expected one of {names}, got {name:?}");
            Error::new(ErrorKind::Argument, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_programs_names_are_read() {
        let names = [
            ("Euler a", EulerAncestral),
            ("euler_a", EulerAncestral),
            ("k_euler_ancestral", EulerAncestral),
            ("EulerAncestralDiscreteScheduler", EulerAncestral),
            ("k_heun", Heun),
            ("DPM++ 2M", DpmSolver2M),
            ("dpmpp_2m", DpmSolver2M),
            ("DPMSolverMultistepScheduler", DpmSolver2M),
            ("DPM++ 2M Karras", DpmSolver2MKarras),
            ("dpmpp_2m_k", DpmSolver2MKarras),
            ("DPM++ 2M SDE", DpmSolver2MSde),
            ("dpm++2m_sde", DpmSolver2MSde),
            ("dpmpp_sde", DpmSolverSde),
            ("uni_pc", UniPc),
            ("PLMS", Pndm),
            ("DPM2", Dpm2),
            ("k_dpm_2_a", Dpm2Ancestral),
            ("DPM2 a", Dpm2Ancestral),
            ("LMS", Lms),
            ("euler_cfg_pp", EulerCfgPp),
            ("DDIM CFG++", DdimCfgPp),
            ("ddim_cfgpp", DdimCfgPp),
        ];
        for (name, kind) in names {
            assert_eq!(name.parse::<SchedulerKind>().ok(), Some(kind), "{name}");
        }
        for kind in SchedulerKind::ALL {
            assert_eq!(kind.name().parse::<SchedulerKind>().ok(), Some(kind));
        }
    }

    /// Samplers that do not exist here, whose names are near those of others.
    #[test]
    fn no_other_sampler_is_taken() {
        let names = ["dpm++2s_a", "DPM++ 2S a", "dpm++2mv2", "ipndm", "dpm", "DPM fast", "eulerb"];
        for name in names.into_iter().chain(["res_multistep", "euler_a_cfg_pp", "k_", ""]) {
            let error = name.parse::<SchedulerKind>().expect_err(name).to_string();
            assert!(error.contains("euler, euler-ancestral, heun"), "{error}");
        }
    }
}
