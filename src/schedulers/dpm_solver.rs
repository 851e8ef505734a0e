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
//!
//! The stochastic variant (the paper's SDE-DPM-Solver++) solves the diffusion SDE: the sample's
//! factor is σₜ/σₛ·e⁻ʰ, 2h replaces h elsewhere, and σₜ·√(1 − e⁻²ʰ)·z is added.

use super::kind::SchedulerKind;
use super::multistep::levels;
use super::settings::{SamplerSettings, SolverType};
use super::step::{HISTORY, Keep, Next, Step};
use crate::error::Result;

pub(super) fn steps(
    settings: &SamplerSettings,
    kind: SchedulerKind,
    steps: usize,
    start: usize,
) -> Result<Vec<Step>> {
    let (timesteps, levels) = levels(settings, kind, steps)?;
    let stochastic = kind == SchedulerKind::DpmSolver2MSde;
    let step = |i: usize| {
        let (now, next) = (levels[i], levels[i + 1]);
        let h = next.lambda - now.lambda;
        let (length, damping) = if stochastic { (2.0 * h, (-h).exp()) } else { (h, 1.0) };
        let decay = (-length).exp() - 1.0;
        let mut coefficients = Next {
            sample: next.sigma / now.sigma * damping,
            original: -next.alpha * decay,
            noise: if stochastic { next.sigma * (-decay).sqrt() } else { 0.0 },
            ..Next::default()
        };
        // The last step is of first order for stability: always if it ends at σ = 0.
        let last = i + 1 == timesteps.len()
            && (settings.euler_at_final
                || settings.lower_order_final && timesteps.len() < 15
                || settings.final_sigma_zero);
        if settings.solver_order > 1 && i > start && !last {
            let r = (now.lambda - levels[i - 1].lambda) / h;
            let correction = match settings.solver_type {
                SolverType::Bh1 | SolverType::Other => -0.5 * next.alpha * decay,
                SolverType::Heun => next.alpha * (decay / length + 1.0),
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
            draws_noise: stochastic,
            noising: [now.alpha, now.sigma],
            ..Step::at(timesteps[i] as f32)
        }
    };
    Ok((start..timesteps.len()).map(step).collect())
}
