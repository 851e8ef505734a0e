//! Ancestral sampling with Euler steps: the step goes down to σ_down, and noise of σ_up brings
//! the sample back up to σ' (k-diffusion; σ_up is that of DDPM's posterior, arXiv:2006.11239).
//!
//! ```text
//! σ_up² = σ'²·(σ² − σ'²)/σ²      σ_down² = σ'² − σ_up²
//! x' = σ_down/σ·x + (1 − σ_down/σ)·x₀ + σ_up·z
//! ```

use super::euler::{at_level, levels};
use super::settings::SamplerSettings;
use super::step::{Next, Step};

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Vec<Step> {
    let step = |(timestep, sigma, sigma_next): (f32, f32, f32)| {
        let [down, up] = ancestral(sigma, sigma_next);
        let ratio = down / sigma;
        Step {
            next: Next { sample: ratio, original: 1.0 - ratio, noise: up, ..Next::default() },
            draws_noise: true,
            ..at_level(settings, timestep, sigma)
        }
    };
    levels(settings, steps).into_iter().skip(start).map(step).collect()
}

/// σ_down and σ_up of a step from one noise level to another.
pub(super) fn ancestral(from: f32, to: f32) -> [f32; 2] {
    let (variance, variance_to) = (from * from, to * to);
    let up = (variance_to * (variance - variance_to) / variance).sqrt();
    [(variance_to - up * up).sqrt(), up]
}
