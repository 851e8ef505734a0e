//! The samplers: from noise to an image in a few dozen steps.
//!
//! A sampler is planned before the run and is plain data: a [`Schedule`] is a list of [`Step`]s,
//! each a handful of coefficients. Whoever executes it (a GPU kernel, or [`Step::apply`] on the
//! CPU) knows nothing of samplers, and the planning knows nothing of GPUs.
//!
//! Every file here is one sampler's equations, and `settings` holds what a model's
//! `scheduler_config.json` says. The notation is the papers': a sample x = √ᾱ·x₀ + √(1−ᾱ)·ε of
//! image x₀ and noise ε, and σ = √((1−ᾱ)/ᾱ).
//!
//! The results agree with diffusers 0.42, given the same network outputs and noise: relative to the
//! largest value of a step, within 2·10⁻⁶, and within 5·10⁻⁶ for Euler and Heun from σ in the
//! thousands (10⁻⁴ for the step down from σ = 4096, `rescale_betas_zero_snr`). The exceptions:
//!
//! - UFOGen, which diffusers lacks, follows the paper's equations.
//! - DPM++ SDE draws its noise step by step from the run's generator, with the law of a Brownian
//!   path, where diffusers draws it from a tree of seeds of its own: another picture by design.
//! - TCD's default of γ is that of diffusers' step function, 0.3; its pipelines pass 0 unasked.
//! - UniPC of type `bh1`, which ends in NaN at σ = 0 there, ends in the predicted image here.

mod betas;
mod config;
mod ddim;
mod ddpm;
mod dpm_solver;
mod dpm_solver_sde;
mod euler;
mod euler_ancestral;
mod heun;
mod keys;
mod kind;
mod lcm;
mod multistep;
mod pndm;
mod settings;
mod sigmas;
mod spacing;
mod step;
mod tcd;
mod timesteps;
mod ufogen;
mod unipc;

pub use config::SchedulerConfig;
pub use kind::SchedulerKind;
pub use spacing::Spacing;
pub use step::{HISTORY, History, Keep, Next, Step};

use crate::error::{Error, ErrorKind, Result};

/// The plan of a run.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The first sample is this times noise z ~ N(0, 1) (diffusers' `init_noise_sigma`).
    pub initial_scale: f32,
    /// The steps, in order. One network evaluation each; PNDM has one more than was asked for,
    /// Heun and DPM++ SDE have twice as many less one.
    pub steps: Vec<Step>,
    /// The request, to plan again from a later start.
    request: (SchedulerConfig, SchedulerKind, usize),
}

impl Schedule {
    /// The sampler.
    pub fn kind(&self) -> SchedulerKind {
        self.request.1
    }

    /// The plan of an image-to-image run: the last `strength` of the steps, for a `strength` from
    /// 0 (the image as it is) to 1 (every step). It starts from the image, noised with the first
    /// step's [`noising`](Step::noising).
    ///
    /// Of n steps the first n − ⌊n·strength⌋ are left out, as in diffusers. Samplers with a
    /// history start without one, so the steps are not always the tail of the full plan.
    ///
    /// An error of kind `Argument` if `strength` is out of range or leaves no step.
    pub fn starting_at(&self, strength: f32) -> Result<Schedule> {
        let (config, kind, steps) = &self.request;
        // By way of decimals: 0.7 of 10 steps is 7, though the f32 next to 0.7 is below it.
        let exact: f64 = strength.to_string().parse().unwrap_or(f64::NAN);
        let left = (*steps as f64 * exact) as usize;
        if !(0.0..=1.0).contains(&strength) || left == 0 {
            let message = format!(
                "strength: expected a number up to 1 that leaves at least one of {steps} steps, \
                 got {strength}"
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }
        plan(config, *kind, *steps, steps - left)
    }
}

/// Plans the steps from number `start` on.
fn plan(
    config: &SchedulerConfig,
    kind: SchedulerKind,
    steps: usize,
    start: usize,
) -> Result<Schedule> {
    let settings = config.settings(kind)?;
    let train = settings.num_train_timesteps;
    if steps == 0 || steps > train {
        let message = format!("{kind}: steps: expected 1 to {train}, got {steps}");
        return Err(Error::new(ErrorKind::Argument, message));
    }
    let planned = match kind {
        SchedulerKind::Ddim => ddim::steps(&settings, steps, start),
        SchedulerKind::Ddpm => ddpm::steps(&settings, steps, start),
        SchedulerKind::Euler => Ok(euler::steps(&settings, steps, start)),
        SchedulerKind::EulerAncestral => Ok(euler_ancestral::steps(&settings, steps, start)),
        SchedulerKind::Heun => Ok(heun::steps(&settings, steps, start)),
        SchedulerKind::DpmSolver2M
        | SchedulerKind::DpmSolver2MKarras
        | SchedulerKind::DpmSolver2MSde => dpm_solver::steps(&settings, kind, steps, start),
        SchedulerKind::DpmSolverSde => Ok(dpm_solver_sde::steps(&settings, steps, start)),
        SchedulerKind::UniPc => unipc::steps(&settings, steps, start),
        SchedulerKind::Lcm => lcm::steps(&settings, steps, start),
        SchedulerKind::Tcd => tcd::steps(&settings, steps, start),
        SchedulerKind::UfoGen => ufogen::steps(&settings, steps, start),
        SchedulerKind::Pndm => pndm::steps(&settings, steps, start),
    };
    let planned = planned.map_err(|error| error.context(kind))?;
    if planned.is_empty() {
        let message = format!("{kind}: no step is left of {steps}: expected more steps");
        return Err(Error::new(ErrorKind::Argument, message));
    }
    if let Some(i) = planned.iter().position(|step| !step.is_finite()) {
        let message = format!(
            "{kind}: evaluation {} of {} is not finite: this sampler cannot use the model's \
             prediction_type, betas or timestep_spacing with so many steps",
            i + 1,
            planned.len()
        );
        return Err(Error::new(ErrorKind::Config, message));
    }
    let initial_scale = match kind {
        SchedulerKind::Euler
        | SchedulerKind::EulerAncestral
        | SchedulerKind::Heun
        | SchedulerKind::DpmSolverSde => euler::initial_scale(&settings, steps),
        _ => 1.0,
    };
    Ok(Schedule { initial_scale, steps: planned, request: (config.clone(), kind, steps) })
}
