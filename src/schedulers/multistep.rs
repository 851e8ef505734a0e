//! The noise levels of the solvers over λ: DPM-Solver++, UniPC and DEIS.

use super::betas;
use super::kind::SchedulerKind;
use super::settings::{BetaSchedule, SamplerSettings, SigmaSpacing, TimestepSpacing};
use super::sigmas::{interpolate, spaced_sigmas, timestep_of};
use super::step::Step;
use super::timesteps::{indices, spaced};
use crate::error::{Error, ErrorKind, Result};

/// α, σ and λ = ln α − ln σ at a noise-to-signal ratio, where x = α·x₀ + σ·ε.
#[derive(Clone, Copy)]
pub(super) struct Level {
    pub(super) alpha: f32,
    pub(super) sigma: f32,
    pub(super) lambda: f32,
}

impl Level {
    fn at(ratio: f32) -> Level {
        let alpha = 1.0 / (ratio * ratio + 1.0).sqrt();
        let sigma = ratio * alpha;
        Level { alpha, sigma, lambda: alpha.ln() - sigma.ln() }
    }

    /// The step at this level; the caller sets `next`.
    pub(super) fn evaluation(self, settings: &SamplerSettings, timestep: usize) -> Step {
        Step {
            original: settings.prediction.original(self.alpha, self.sigma),
            epsilon: settings.prediction.epsilon(self.alpha, self.sigma),
            noising: [self.alpha, self.sigma],
            ..Step::at(timestep as f32)
        }
    }
}

/// The timesteps and the noise levels at their ends (one level more than timesteps).
pub(super) fn levels(
    settings: &SamplerSettings,
    kind: SchedulerKind,
    steps: usize,
) -> Result<(Vec<usize>, Vec<Level>)> {
    let table = betas::sigmas(settings);
    let lowest = table.first().map_or(f64::NAN, |&sigma| f64::from(sigma));
    let (timesteps, mut ratios, mut last) = match settings.sigma_spacing {
        Some(spacing) => {
            let highest = table.last().map_or(f64::NAN, |&sigma| f64::from(sigma));
            let [min, max] = settings.sigma_range;
            let ends = [max.unwrap_or(highest), min.unwrap_or(lowest)];
            let ratios = spaced_sigmas(spacing, settings.rho, ends, steps);
            // As in diffusers: Karras' and Lu's timesteps are rounded, except with squared-cosine betas
            // in the multistep DPM-Solver++.
            let cosine = settings.beta_schedule == BetaSchedule::SquaredCosine;
            let multistep = kind.class_name() == SchedulerKind::DpmSolver2M.class_name();
            let rounded = matches!(spacing, SigmaSpacing::Karras | SigmaSpacing::Lu)
                && !(cosine && multistep);
            let whole = |t: f64| if rounded { t } else { t.floor() };
            let found: Vec<f64> = ratios.iter().map(|&r| whole(timestep_of(r, &table))).collect();
            let keeps_last = matches!(kind, SchedulerKind::UniPc | SchedulerKind::Deis);
            let last = ratios.last().copied().filter(|_| keeps_last);
            (indices(settings, &found)?, ratios, last.unwrap_or(lowest))
        }
        None => {
            let timesteps = indices(settings, &timesteps(settings, &table, steps)?)?;
            let ratios = timesteps.iter().map(|&t| interpolate(&table, t as f64)).collect();
            (timesteps, ratios, lowest)
        }
    };
    if settings.final_sigma_zero {
        last = 0.0;
    }
    ratios.push(last);
    Ok((timesteps, ratios.iter().map(|&ratio| Level::at(ratio as f32)).collect()))
}

/// The run's timesteps, spaced over the range in which λ = −ln σ̄ is at least `lambda_min_clipped`.
fn timesteps(settings: &SamplerSettings, table: &[f32], steps: usize) -> Result<Vec<f64>> {
    let above = |ratio: &&f32| f64::from(-ratio.ln()) >= settings.lambda_min_clipped;
    let end = table.iter().filter(above).count();
    if end == 0 {
        let message =
            format!("lambda_min_clipped: {} leaves no timestep", settings.lambda_min_clipped);
        return Err(Error::new(ErrorKind::Config, message));
    }
    let count = match settings.timestep_spacing {
        TimestepSpacing::Trailing => steps,
        TimestepSpacing::Leading | TimestepSpacing::Linspace => steps + 1,
    };
    let mut timesteps = spaced(settings, steps, count, end);
    timesteps.truncate(steps);
    Ok(timesteps)
}
