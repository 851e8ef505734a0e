//! [`SchedulerKind`]: the samplers and their names.

use std::fmt;
use std::str::FromStr;

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
}

use SchedulerKind::*;

impl SchedulerKind {
    /// Every sampler.
    pub const ALL: [SchedulerKind; 14] = [
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
        }
    }

    /// The diffusers class, the `_class_name` of a `scheduler_config.json`. The variants of
    /// DPM-Solver++ (2M) share one, and `UFOGenScheduler` exists in croquis only.
    pub fn class_name(self) -> &'static str {
        match self {
            Ddim => "DDIMScheduler",
            Ddpm => "DDPMScheduler",
            Euler => "EulerDiscreteScheduler",
            EulerAncestral => "EulerAncestralDiscreteScheduler",
            Heun => "HeunDiscreteScheduler",
            DpmSolver2M | DpmSolver2MKarras | DpmSolver2MSde => "DPMSolverMultistepScheduler",
            DpmSolverSde => "DPMSolverSDEScheduler",
            UniPc => "UniPCMultistepScheduler",
            Lcm => "LCMScheduler",
            Tcd => "TCDScheduler",
            UfoGen => "UFOGenScheduler",
            Pndm => "PNDMScheduler",
        }
    }

    /// The spacings that the sampler supports, as in diffusers. LCM and TCD have one of their own,
    /// from their distillation.
    pub fn spacings(self) -> &'static [Spacing] {
        match self {
            Euler | Heun | DpmSolver2M | DpmSolver2MSde | DpmSolverSde | UniPc => &Spacing::ALL,
            DpmSolver2MKarras => &[Spacing::Karras],
            Ddim | Ddpm | EulerAncestral | UfoGen | Pndm => {
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

    /// Parses a command-line name or a diffusers class; the error lists the command-line names.
    fn from_str(name: &str) -> Result<Self> {
        let known = |kind: &SchedulerKind| name == kind.name() || name == kind.class_name();
        SchedulerKind::ALL.into_iter().find(known).ok_or_else(|| {
            let names = SchedulerKind::ALL.map(SchedulerKind::name).join(", ");
            let message = format!("scheduler: expected one of {names}, got {name:?}");
            Error::new(ErrorKind::Argument, message)
        })
    }
}
