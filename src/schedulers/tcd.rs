//! Trajectory consistency distillation: Zheng et al., *Trajectory consistency distillation:
//! improved latent consistency distillation by semi-linear consistency function with trajectory
//! mapping*, arXiv:2402.19159, its strategic stochastic sampling.
//!
//! From timestep t the consistency function jumps past the next timestep t' to s = ⌊(1 − γ)·t'⌋,
//! and added noise leads back to t':
//!
//! ```text
//! xₛ = √ᾱₛ·x₀ + √(1 − ᾱₛ)·ε̂
//! x' = √(ᾱ'/ᾱₛ)·xₛ + √(1 − ᾱ'/ᾱₛ)·z,   after the last step x' = xₛ with s = 0
//! ```
//!
//! The timesteps are those of latent consistency models.

use super::betas::alphas_cumprod;
use super::lcm::timesteps;
use super::settings::SamplerSettings;
use super::step::{Next, Step};
use crate::error::Result;

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Result<Vec<Step>> {
    let alphas = alphas_cumprod(settings);
    let timesteps = timesteps(settings, steps)?;
    // The setting `eta` holds γ; 1 − γ is rounded to f32 as in PyTorch.
    let beyond = (1.0 - f64::from(settings.eta)) as f32;
    let step = |(i, &t): (usize, &usize)| {
        let next = timesteps.get(i + 1).copied();
        let s = next.map_or(0, |next| (beyond * next as f32) as usize);
        let (a, a_s) = (alphas[t], alphas[s]);
        let a_next = next.map_or(a_s, |next| alphas[next]);
        let (alpha, sigma) = (a.sqrt(), (1.0 - a).sqrt());
        let [sample, output] = settings.prediction.epsilon(alpha, sigma);
        let back = (a_next / a_s).sqrt();
        let direction = back * (1.0 - a_s).sqrt();
        Step {
            original: settings.prediction.original(alpha, sigma),
            next: Next {
                sample: direction * sample,
                output: direction * output,
                original: back * a_s.sqrt(),
                noise: (1.0 - a_next / a_s).sqrt(),
                ..Next::default()
            },
            draws_noise: settings.eta > 0.0 && next.is_some(),
            noising: [alpha, sigma],
            ..Step::at(t as f32)
        }
    };
    Ok(timesteps.iter().enumerate().skip(start).map(step).collect())
}
