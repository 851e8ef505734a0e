//! The schedule of a run: the list of sampling steps, computed before the run from a scheduler
//! configuration.

use super::config::SchedulerConfig;
use super::kind::SchedulerKind;
use super::step::Step;
use super::{ddim, ddpm, deis, dpm_solver, dpm_solver_sde, dpm_solver_single, edm, euler};
use super::{euler_ancestral, heun, kdpm2, lcm, lms, pndm, tcd, ufogen, unipc};
use crate::error::{Error, ErrorKind, Result};

/// The schedule of a run: all steps of the sampler and the scale of the initial noise.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Factor of the initial noise z ~ N(0, 1) (diffusers' `init_noise_sigma`).
    pub initial_scale: f32,
    /// The steps, in order, with one network evaluation each. PNDM has one step more than was asked
    /// for, nine with Runge–Kutta steps; Heun, DPM++ SDE and DPM2 have 2n − 1 for n.
    pub steps: Vec<Step>,
    /// Configuration, sampler and number of steps, for [`starting_at`](Schedule::starting_at).
    request: (SchedulerConfig, SchedulerKind, usize),
}

impl Schedule {
    /// The sampler of this schedule.
    pub fn kind(&self) -> SchedulerKind {
        self.request.1
    }

    /// The schedule of an image-to-image run: the last `strength` of the steps, for a `strength`
    /// from 0 (the image is kept) to 1 (all steps). The run starts from the image, noised with the
    /// first step's [`noising`](Step::noising).
    ///
    /// Of n steps the first n − ⌊n·strength⌋ are left out, as in diffusers. Multistep samplers
    /// start with an empty history, so the steps are not always the tail of the full schedule.
    ///
    /// An error of kind `Argument` if `strength` is out of range or leaves no step.
    pub fn starting_at(&self, strength: f32) -> Result<Schedule> {
        let (config, kind, steps) = &self.request;
        // Computed from the decimal digits: 0.7 of 10 steps is 7, though the f32 next to 0.7 is
        // below it.
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

    /// The schedule from a share of the noise levels on, for latents that are as noisy (diffusers'
    /// `denoising_start`): the steps whose timesteps are below the share. Those of two evaluations
    /// are not divided.
    ///
    /// An error of kind `Argument` if `share` is out of range or leaves no step.
    pub fn starting_at_level(&self, share: f32) -> Result<Schedule> {
        let cutoff = self.cutoff("denoising start", share)?;
        let (config, kind, steps) = &self.request;
        let below = self.steps.iter().filter(|step| f64::from(step.timestep) < cutoff).count();
        let start = match kind {
            SchedulerKind::Heun
            | SchedulerKind::DpmSolverSde
            | SchedulerKind::Dpm2
            | SchedulerKind::Dpm2Ancestral => {
                (self.steps.len() - (below + 1 - below % 2).min(self.steps.len())) / 2
            }
            _ => self.steps.len() - below,
        };
        match below {
            0 => Err(no_step("denoising start", share)),
            _ => plan(config, *kind, *steps, start),
        }
    }

    /// The schedule up to a share of the noise levels (diffusers' `denoising_end`): the steps whose
    /// timesteps are not below the share.
    ///
    /// An error of kind `Argument` if `share` is out of range or leaves no step.
    pub fn ending_at_level(mut self, share: f32) -> Result<Schedule> {
        let cutoff = self.cutoff("denoising end", share)?;
        let left = self.steps.iter().filter(|step| f64::from(step.timestep) >= cutoff).count();
        self.steps.truncate(left);
        match left {
            0 => Err(no_step("denoising end", share)),
            _ => Ok(self),
        }
    }

    /// The training timestep at a share of the noise levels.
    fn cutoff(&self, name: &str, share: f32) -> Result<f64> {
        let (config, kind, _) = &self.request;
        let train = config.settings(*kind)?.num_train_timesteps as f64;
        // Computed from the decimal digits, as in `starting_at`.
        let exact: f64 = share.to_string().parse().unwrap_or(f64::NAN);
        if exact > 0.0 && exact < 1.0 {
            return Ok((train - exact * train).round_ties_even());
        }
        let message = format!("{name}: expected a number between 0 and 1, got {share}");
        Err(Error::new(ErrorKind::Argument, message))
    }
}

fn no_step(name: &str, share: f32) -> Error {
    let message =
        format!("{name}: expected a number that leaves a step: take more steps, got {share}");
    Error::new(ErrorKind::Argument, message)
}

impl SchedulerConfig {
    /// The schedule of `steps` steps with the sampler that `_class_name` names.
    ///
    /// An error of kind `Argument` if `steps` is zero or more than `num_train_timesteps`, of kind
    /// `Unsupported` if the configuration asks for a variant that this version does not have.
    pub fn schedule(&self, steps: usize) -> Result<Schedule> {
        self.schedule_from(self.kind()?, steps)
    }

    /// The schedule of `steps` steps with the sampler `kind`, as diffusers' `from_config` of
    /// another class.
    pub fn schedule_from(&self, kind: SchedulerKind, steps: usize) -> Result<Schedule> {
        plan(self, kind, steps, 0)
    }
}

/// The schedule of `steps` steps without the first `start` of them.
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
        SchedulerKind::DdimCfgPp => ddim::steps(&settings, steps, start)
            .map(|steps| steps.into_iter().map(Step::with_cfg_pp).collect()),
        SchedulerKind::EulerCfgPp => Ok(euler::cfg_pp_steps(&settings, steps, start)),
        SchedulerKind::Ddpm => ddpm::steps(&settings, steps, start),
        SchedulerKind::Euler => Ok(euler::steps(&settings, steps, start)),
        SchedulerKind::EulerAncestral => Ok(euler_ancestral::steps(&settings, steps, start)),
        SchedulerKind::Heun => Ok(heun::steps(&settings, steps, start)),
        SchedulerKind::DpmSolver2M
        | SchedulerKind::DpmSolver2MKarras
        | SchedulerKind::DpmSolver2MSde
        | SchedulerKind::DpmSolver3M
        | SchedulerKind::DpmSolver3MSde => dpm_solver::steps(&settings, kind, steps, start),
        SchedulerKind::DpmSolverSde => Ok(dpm_solver_sde::steps(&settings, steps, start)),
        SchedulerKind::UniPc => unipc::steps(&settings, steps, start),
        SchedulerKind::Lcm => lcm::steps(&settings, steps, start),
        SchedulerKind::Tcd => tcd::steps(&settings, steps, start),
        SchedulerKind::UfoGen => ufogen::steps(&settings, steps, start),
        SchedulerKind::Pndm => pndm::steps(&settings, steps, start),
        SchedulerKind::Dpm2 => Ok(kdpm2::steps(&settings, false, steps, start)),
        SchedulerKind::Dpm2Ancestral => Ok(kdpm2::steps(&settings, true, steps, start)),
        SchedulerKind::Lms => Ok(lms::steps(&settings, steps, start)),
        SchedulerKind::Deis => deis::steps(&settings, steps, start),
        SchedulerKind::DpmSolver2S | SchedulerKind::DpmSolver3S => {
            dpm_solver_single::steps(&settings, kind, steps, start)
        }
        SchedulerKind::EdmEuler => Ok(edm::euler(&settings, steps, start)),
        SchedulerKind::EdmDpmSolver => Ok(edm::dpm_solver(&settings, steps, start)),
    };
    let planned = planned.map_err(|error| error.context(kind))?;
    if planned.is_empty() {
        let message = format!("{kind}: expected more steps: of {steps} none is left");
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
        | SchedulerKind::EulerCfgPp
        | SchedulerKind::EulerAncestral
        | SchedulerKind::Heun
        | SchedulerKind::DpmSolverSde
        | SchedulerKind::Dpm2
        | SchedulerKind::Dpm2Ancestral
        | SchedulerKind::Lms => euler::initial_scale(&settings, steps),
        SchedulerKind::EdmEuler | SchedulerKind::EdmDpmSolver => edm::initial_scale(&settings),
        SchedulerKind::Ddim
        | SchedulerKind::DdimCfgPp
        | SchedulerKind::Ddpm
        | SchedulerKind::Deis
        | SchedulerKind::DpmSolver2M
        | SchedulerKind::DpmSolver2MKarras
        | SchedulerKind::DpmSolver2MSde
        | SchedulerKind::DpmSolver2S
        | SchedulerKind::DpmSolver3M
        | SchedulerKind::DpmSolver3MSde
        | SchedulerKind::DpmSolver3S
        | SchedulerKind::Lcm
        | SchedulerKind::Pndm
        | SchedulerKind::Tcd
        | SchedulerKind::UfoGen
        | SchedulerKind::UniPc => 1.0,
    };
    Ok(Schedule { initial_scale, steps: planned, request: (config.clone(), kind, steps) })
}
