//! Euler's method on the probability-flow equation: Karras et al., *Elucidating the design space
//! of diffusion-based generative models*, arXiv:2206.00364, algorithm 1 without its correction.
//!
//! The sample is x = x₀ + σ·ε, which the network sees as x/√(σ² + 1):
//!
//! ```text
//! x' = x + (σ' − σ)·(x − x₀)/σ = σ'/σ·x + (1 − σ'/σ)·x₀
//! ```

use super::betas;
use super::settings::{SamplerSettings, TimestepSpacing};
use super::sigmas::{interpolate, spaced_sigmas, timestep_of};
use super::step::{Next, Step};
use super::timesteps::timesteps;

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Vec<Step> {
    let step = |(timestep, sigma, sigma_next): (f32, f32, f32)| {
        let ratio = sigma_next / sigma;
        Step {
            next: Next { sample: ratio, original: 1.0 - ratio, ..Next::default() },
            ..at_level(settings, timestep, sigma)
        }
    };
    levels(settings, steps).into_iter().skip(start).map(step).collect()
}

/// Euler's method with CFG++: x' = x₀ + σ'·ε̂, with ε̂ of the unconditional output.
pub(super) fn cfg_pp_steps(settings: &SamplerSettings, steps: usize, start: usize) -> Vec<Step> {
    let step = |(timestep, sigma, sigma_next): (f32, f32, f32)| {
        let at = at_level(settings, timestep, sigma);
        let [sample, output] = at.epsilon.map(|coefficient| sigma_next * coefficient);
        let next = Next { sample, output, original: 1.0, ..Next::default() };
        Step { next, ..at }.with_cfg_pp()
    };
    levels(settings, steps).into_iter().skip(start).map(step).collect()
}

/// The standard deviation of the initial sample (diffusers' `init_noise_sigma`).
pub(super) fn initial_scale(settings: &SamplerSettings, steps: usize) -> f32 {
    let sigma = levels(settings, steps).iter().map(|level| level.1).fold(0.0, f32::max);
    match settings.timestep_spacing {
        TimestepSpacing::Leading => (sigma * sigma + 1.0).sqrt(),
        TimestepSpacing::Trailing | TimestepSpacing::Linspace => sigma,
    }
}

/// Timestep, σ and next σ' of every step.
pub(super) fn levels(settings: &SamplerSettings, steps: usize) -> Vec<(f32, f32, f32)> {
    let table = betas::sigmas(settings);
    let mut timesteps = timesteps(settings, steps);
    let mut sigmas: Vec<f64> =
        timesteps.iter().map(|&t| interpolate(&table, f64::from(t as f32))).collect();
    if let Some(spacing) = settings.sigma_spacing {
        let [lowest, highest] = settings.sigma_range;
        let highest = highest.or(sigmas.first().copied()).unwrap_or(f64::NAN);
        let lowest = lowest.or(sigmas.last().copied()).unwrap_or(f64::NAN);
        sigmas = spaced_sigmas(spacing, settings.rho, [highest, lowest], steps);
        let whole = |t: f64| if settings.whole_timesteps { t.round_ties_even() } else { t };
        timesteps = sigmas.iter().map(|&sigma| whole(timestep_of(sigma, &table))).collect();
    }
    let last = if settings.final_sigma_zero { 0.0 } else { f64::from(table[0]) };
    let next = sigmas.iter().skip(1).chain([&last]);
    let levels = timesteps.iter().zip(&sigmas).zip(next);
    levels.map(|((&t, &sigma), &next)| (t as f32, sigma as f32, next as f32)).collect()
}

/// The step at noise level σ for samples x = x₀ + σ·ε; the caller sets `next`.
pub(super) fn at_level(settings: &SamplerSettings, timestep: f32, sigma: f32) -> Step {
    let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
    let [sample, output] = settings.prediction.original(alpha, sigma * alpha);
    let epsilon = settings.prediction.epsilon(alpha, sigma * alpha);
    Step {
        input_scale: alpha,
        original: [sample * alpha, output],
        epsilon: [epsilon[0] * alpha, epsilon[1]],
        noising: [1.0, sigma],
        ..Step::at(timestep)
    }
}
