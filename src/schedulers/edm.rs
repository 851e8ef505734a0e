//! The samplers of networks with the preconditioning of EDM: Karras et al., *Elucidating the design space
//! of diffusion-based generative models*, arXiv:2206.00364, section 5.
//!
//! The sample is x = x₀ + σ·ε; with σ_d the standard deviation of the data, the network sees
//! x/√(σ² + σ_d²) and the timestep ¼·ln σ, and predicts
//!
//! ```text
//! x₀ = σ_d²/(σ² + σ_d²)·x ± σ·σ_d/√(σ² + σ_d²)·m      minus for the prediction of velocities
//! ```
//!
//! The steps are those of Euler's method or of multistep DPM-Solver++, with α = 1.

use super::dpm_solver::multistep;
use super::multistep::Level;
use super::prediction::Prediction;
use super::settings::{SamplerSettings, SigmaSpacing};
use super::sigmas::spaced_sigmas;
use super::step::{Next, Step};

/// The noise levels that diffusers' classes take by default.
const SIGMA_MIN: f64 = 0.002;
const SIGMA_MAX: f64 = 80.0;

pub(super) fn euler(settings: &SamplerSettings, steps: usize, start: usize) -> Vec<Step> {
    let sigmas = sigmas(settings, steps);
    let step = |i: usize| {
        let ratio = sigmas[i + 1] / sigmas[i];
        let next = Next { sample: ratio, original: 1.0 - ratio, ..Next::default() };
        Step { next, ..evaluation(settings, sigmas[i]) }
    };
    (start..steps).map(step).collect()
}

pub(super) fn dpm_solver(settings: &SamplerSettings, steps: usize, start: usize) -> Vec<Step> {
    let sigmas = sigmas(settings, steps);
    let level = |&sigma: &f32| Level { alpha: 1.0, sigma, lambda: -sigma.ln() };
    let levels: Vec<Level> = sigmas.iter().map(level).collect();
    multistep(settings, &levels, start, |i| evaluation(settings, sigmas[i]))
}

/// The standard deviation of the initial sample.
pub(super) fn initial_scale(settings: &SamplerSettings) -> f32 {
    let highest = settings.sigma_range[1].unwrap_or(SIGMA_MAX);
    (highest * highest + 1.0).sqrt() as f32
}

/// The noise levels of all steps, and that at the end.
fn sigmas(settings: &SamplerSettings, steps: usize) -> Vec<f32> {
    let [lowest, highest] = settings.sigma_range;
    let (lowest, highest) = (lowest.unwrap_or(SIGMA_MIN), highest.unwrap_or(SIGMA_MAX));
    let spacing = settings.sigma_spacing.unwrap_or(SigmaSpacing::Karras);
    let mut sigmas = spaced_sigmas(spacing, settings.rho, [highest, lowest], steps);
    sigmas.push(if settings.final_sigma_zero { 0.0 } else { lowest });
    sigmas.iter().map(|&sigma| sigma as f32).collect()
}

/// The step at a noise level; the caller sets `next`.
fn evaluation(settings: &SamplerSettings, sigma: f32) -> Step {
    let data = settings.sigma_data as f32;
    let variance = sigma * sigma + data * data;
    let output = sigma * data / variance.sqrt();
    let velocity = settings.prediction == Prediction::Velocity;
    Step {
        input_scale: 1.0 / variance.sqrt(),
        original: [data * data / variance, if velocity { -output } else { output }],
        noising: [1.0, sigma],
        ..Step::at(0.25 * sigma.ln())
    }
}
