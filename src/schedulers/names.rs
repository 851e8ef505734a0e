//! The names that other programs give to samplers and spacings.

use super::kind::SchedulerKind::{self, *};

/// A name without what programs write differently: capitals, separators, `pp` for `++`, and the
/// prefix `k_` of k-diffusion's samplers.
pub(super) fn plain(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    let name = name.strip_prefix("k_").unwrap_or(&name);
    let letters: String =
        name.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-')).collect();
    letters.replace("dpmpp", "dpm++").replace("cfgpp", "cfg++")
}

/// The [`plain`] names of the same sampler in AUTOMATIC1111, ComfyUI, InvokeAI and
/// stable-diffusion.cpp, where they are not croquis' own.
pub(super) fn others(kind: SchedulerKind) -> &'static [&'static str] {
    match kind {
        EulerAncestral => &["eulera"],
        DpmSolver2MKarras => &["dpm++2mk"],
        UniPc => &["unipcbh2"],
        Pndm => &["plms"],
        Dpm2Ancestral => &["dpm2a"],
        _ => &[],
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
