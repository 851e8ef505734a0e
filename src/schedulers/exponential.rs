//! The factors of the exponential integrators of DPM-Solver++: Lu et al., *DPM-Solver++: fast solver for
//! guided sampling of diffusion probabilistic models*, arXiv:2211.01095.
//!
//! From level s to level t, with α = 1/√(σ̄² + 1), σ = σ̄·α for the noise-to-signal ratio σ̄,
//! λ = ln α − ln σ, h = λₜ − λₛ, and D₁, D₂ the first two derivatives of the predicted image x₀ by λ,
//! in units of h:
//!
//! ```text
//! x' = σₜ/σₛ·x − αₜ·(e⁻ʰ − 1)·x₀ + αₜ·((e⁻ʰ − 1)/h + 1)·D₁ − αₜ·((e⁻ʰ − 1 + h)/h² − ½)·D₂
//! ```
//!
//! The midpoint variant of second order takes −½·αₜ·(e⁻ʰ − 1) for D₁. The stochastic variant (the
//! paper's SDE-DPM-Solver++) solves the diffusion SDE: the sample's factor is σₜ/σₛ·e⁻ʰ, 2h replaces h
//! elsewhere, and σₜ·√(1 − e⁻²ʰ)·z is added. Its factor of D₂ is that of diffusers, with −½ where the
//! integral has +½.

use super::multistep::Level;
use super::settings::{SamplerSettings, SolverType};
use super::step::Next;

/// The factors of one step between two levels.
pub(super) struct Factors {
    /// Factor of the sample.
    pub(super) sample: f32,
    /// Factor of the predicted image x₀ at the first level.
    pub(super) image: f32,
    /// Factor of D₁ in a step of second order.
    pub(super) second_order: f32,
    /// Factor of D₁.
    pub(super) first: f32,
    /// Factor of D₂.
    pub(super) second: f32,
    /// Factor of the noise.
    pub(super) noise: f32,
}

impl Factors {
    pub(super) fn between(settings: &SamplerSettings, now: Level, next: Level) -> Factors {
        let h = next.lambda - now.lambda;
        let (length, damping) = if settings.stochastic { (2.0 * h, (-h).exp()) } else { (h, 1.0) };
        let decay = (-length).exp() - 1.0;
        let first = next.alpha * (decay / length + 1.0);
        let half = if settings.stochastic { -0.5 } else { 0.5 };
        Factors {
            sample: next.sigma / now.sigma * damping,
            image: -next.alpha * decay,
            second_order: match settings.solver_type {
                SolverType::Bh1 | SolverType::Other => -0.5 * next.alpha * decay,
                SolverType::Heun => first,
            },
            first,
            second: -next.alpha * ((decay + length) / (length * length) - half),
            noise: if settings.stochastic { next.sigma * (-decay).sqrt() } else { 0.0 },
        }
    }

    /// The step of first order, from the sample and its x₀.
    pub(super) fn first_order(&self) -> Next {
        Next { sample: self.sample, original: self.image, noise: self.noise, ..Next::default() }
    }
}
