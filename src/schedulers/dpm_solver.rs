//! DPM-Solver++ of first and second order, multistep: Lu et al., *DPM-Solver++: fast solver for
//! guided sampling of diffusion probabilistic models*, arXiv:2211.01095, algorithm 2.
//!
//! From level s to level t, with α = 1/√(σ̄² + 1), σ = σ̄·α for the noise-to-signal ratio σ̄,
//! λ = ln α − ln σ, h = λₜ − λₛ, and r = h'/h for the h' of the step before:
//!
//! ```text
//! order 1   x' = σₜ/σₛ·x − αₜ·(e⁻ʰ − 1)·x₀
//! order 2   x' = order 1 + c/r·(x₀ − x₀ of the step before)
//!           c = −½·αₜ·(e⁻ʰ − 1)             midpoint
//!           c = αₜ·((e⁻ʰ − 1)/h + 1)        Heun (appendix B)
//! ```

use super::betas;
use super::betas::BetaSchedule;
use super::settings::{Settings, SolverType};
use super::spacing::{TimestepSpacing, indices, interpolate, karras, spaced, timestep_of};
use super::step::{HISTORY, Keep, Next, Step};
use crate::error::{Error, ErrorKind, Result};

/// α, σ and λ at a noise-to-signal ratio.
#[derive(Clone, Copy)]
struct Level {
    alpha: f32,
    sigma: f32,
    lambda: f32,
}

impl Level {
    fn at(ratio: f32) -> Level {
        let alpha = 1.0 / (ratio * ratio + 1.0).sqrt();
        let sigma = ratio * alpha;
        Level { alpha, sigma, lambda: alpha.ln() - sigma.ln() }
    }
}

pub(super) fn steps(settings: &Settings, steps: usize, start: usize) -> Result<Vec<Step>> {
    let (timesteps, ratios) = levels(settings, steps)?;
    let levels: Vec<Level> = ratios.iter().map(|&ratio| Level::at(ratio)).collect();
    let step = |i: usize| {
        let (now, next) = (levels[i], levels[i + 1]);
        let h = next.lambda - now.lambda;
        let decay = (-h).exp() - 1.0;
        let mut coefficients = Next {
            sample: next.sigma / now.sigma,
            original: -next.alpha * decay,
            ..Next::default()
        };
        // The last step is of first order where that is more stable, always so if it ends at σ = 0.
        let last = i + 1 == timesteps.len()
            && (settings.euler_at_final
                || settings.lower_order_final && timesteps.len() < 15
                || settings.final_sigma_zero);
        if settings.solver_order > 1 && i > start && !last {
            let r = (now.lambda - levels[i - 1].lambda) / h;
            let correction = match settings.solver_type {
                SolverType::Midpoint => -0.5 * next.alpha * decay,
                SolverType::Heun => next.alpha * (decay / h + 1.0),
            };
            coefficients.original += correction / r;
            coefficients.history[0] = -correction / r;
        }
        let mut keep = [Keep::Nothing; HISTORY];
        keep[0] = Keep::Original;
        Step {
            original: settings.prediction.original(now.alpha, now.sigma),
            next: coefficients,
            keep,
            noising: [now.alpha, now.sigma],
            ..Step::at(timesteps[i] as f32)
        }
    };
    Ok((start..timesteps.len()).map(step).collect())
}

/// The timesteps, and the noise-to-signal ratios between them: one more.
fn levels(settings: &Settings, steps: usize) -> Result<(Vec<usize>, Vec<f32>)> {
    let table = betas::sigmas(settings);
    let (timesteps, mut ratios): (Vec<usize>, Vec<f64>);
    if settings.use_karras_sigmas {
        let (lowest, highest) = (table.first(), table.last());
        let ends = [highest, lowest].map(|end| end.map_or(f64::NAN, |&end| f64::from(end)));
        ratios = karras(ends[0], ends[1], steps);
        let whole = |t: f64| match settings.beta_schedule {
            BetaSchedule::SquaredCosine => t.floor(),
            BetaSchedule::Linear | BetaSchedule::ScaledLinear => t,
        };
        let found: Vec<f64> = ratios.iter().map(|&r| whole(timestep_of(r, &table))).collect();
        timesteps = indices(settings, &found)?;
    } else {
        // λ = −ln σ̄ falls with the timestep; where it is below the limit there are no steps.
        let above = |ratio: &&f32| f64::from(-ratio.ln()) >= settings.lambda_min_clipped;
        let end = table.iter().filter(above).count();
        if end == 0 {
            let message =
                format!("lambda_min_clipped: {} leaves no timestep", settings.lambda_min_clipped);
            return Err(Error::new(ErrorKind::Config, message));
        }
        let mut found = match settings.timestep_spacing {
            TimestepSpacing::Trailing => spaced(settings, steps, steps, end),
            TimestepSpacing::Leading | TimestepSpacing::Linspace => {
                spaced(settings, steps, steps + 1, end)
            }
        };
        found.truncate(steps);
        timesteps = indices(settings, &found)?;
        ratios = timesteps.iter().map(|&t| interpolate(&table, t as f64)).collect();
    }
    ratios.push(if settings.final_sigma_zero { 0.0 } else { f64::from(table[0]) });
    Ok((timesteps, ratios.iter().map(|&ratio| ratio as f32).collect()))
}
