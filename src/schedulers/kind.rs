//! The names of the samplers.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// A sampler: the rule that turns network outputs into the next sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchedulerKind {
    /// Denoising diffusion implicit models, arXiv:2010.02502.
    Ddim,
    /// Denoising diffusion probabilistic models, arXiv:2006.11239.
    Ddpm,
    /// Euler's method on the probability-flow equation, arXiv:2206.00364.
    Euler,
    /// Euler's method with part of the noise replaced in every step.
    EulerAncestral,
    /// DPM-Solver++ (2M), arXiv:2211.01095.
    DpmSolver2M,
    /// DPM-Solver++ (2M) on the noise levels of arXiv:2206.00364, equation 5.
    DpmSolver2MKarras,
    /// Latent consistency models, arXiv:2310.04378.
    Lcm,
    /// UFOGen, arXiv:2311.09257: one step, or a few that noise the predicted image again.
    UfoGen,
    /// Pseudo linear multistep (PLMS) of PNDM, arXiv:2202.09778.
    Pndm,
}

use SchedulerKind::*;

impl SchedulerKind {
    /// Every sampler.
    pub const ALL: [SchedulerKind; 9] =
        [Ddim, Ddpm, Euler, EulerAncestral, DpmSolver2M, DpmSolver2MKarras, Lcm, UfoGen, Pndm];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Ddim => "ddim",
            Ddpm => "ddpm",
            Euler => "euler",
            EulerAncestral => "euler-ancestral",
            DpmSolver2M => "dpm++2m",
            DpmSolver2MKarras => "dpm++2m-karras",
            Lcm => "lcm",
            UfoGen => "ufogen",
            Pndm => "pndm",
        }
    }

    /// The `_class_name` in a `scheduler_config.json`. Both DPM-Solver++ variants share one, and
    /// `UFOGenScheduler` is our own: diffusers has none.
    pub fn class_name(self) -> &'static str {
        match self {
            Ddim => "DDIMScheduler",
            Ddpm => "DDPMScheduler",
            Euler => "EulerDiscreteScheduler",
            EulerAncestral => "EulerAncestralDiscreteScheduler",
            DpmSolver2M | DpmSolver2MKarras => "DPMSolverMultistepScheduler",
            Lcm => "LCMScheduler",
            UfoGen => "UFOGenScheduler",
            Pndm => "PNDMScheduler",
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

    /// Reads either name; the error lists the names for the command line.
    fn from_str(name: &str) -> Result<Self> {
        let known = |kind: &SchedulerKind| name == kind.name() || name == kind.class_name();
        SchedulerKind::ALL.into_iter().find(known).ok_or_else(|| {
            let names = SchedulerKind::ALL.map(SchedulerKind::name).join(", ");
            let message = format!("scheduler: expected one of {names}, got {name:?}");
            Error::new(ErrorKind::Argument, message)
        })
    }
}
