//! DPM-Solver++ (SDE): the stochastic solver of k-diffusion, of second order in single steps, after
//! Lu et al., *DPM-Solver++*, arXiv:2211.01095.
//!
//! For samples x = x₀ + σ·ε, a step from σ to σ' first goes halfway in ln σ, to s = √(σ·σ'), and
//! then from its start to σ' with the image predicted at s. Both parts are ancestral steps:
//!
//! ```text
//! to(τ): up² = τ²·(σ² − τ²)/σ²      down² = τ² − up²
//! xₛ = down(s)/σ·x  + (1 − down(s)/σ)·x₀(x)   + up(s)·w
//! x' = down(σ')/σ·x + (1 − down(σ')/σ)·x₀(xₛ) + up(σ')·w'
//! ```
//!
//! The noises belong to one Brownian path over σ: w is its normalised increment from σ to s, and w'
//! that from σ to σ'. With z the increment from s to σ', independent of w,
//!
//! ```text
//! w' = √((σ − s)/(σ − σ'))·w + √((s − σ')/(σ − σ'))·z
//! ```
//!
//! where w follows from xₛ, x and x₀(x). The last step, to σ' = 0, is an Euler step.

use super::betas;
use super::euler::{at_level, levels};
use super::euler_ancestral::ancestral;
use super::settings::SamplerSettings;
use super::sigmas::timestep_of;
use super::step::{HISTORY, Keep, Next, Step};

/// The history slots of the step's first sample and of the image predicted from it.
const SAMPLE: usize = 0;
const ORIGINAL: usize = 1;

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Vec<Step> {
    let table = betas::sigmas(settings);
    let mut planned = Vec::with_capacity(2 * steps);
    for (timestep, sigma, sigma_next) in levels(settings, steps).into_iter().skip(start) {
        if sigma_next == 0.0 {
            let next = Next { original: 1.0, ..Next::default() };
            planned.push(Step { next, ..at_level(settings, timestep, sigma) });
            continue;
        }
        let middle = (sigma * sigma_next).sqrt();
        let [down, up] = ancestral(sigma, middle);
        let down = down / sigma;
        let mut keep = [Keep::Nothing; HISTORY];
        keep[SAMPLE] = Keep::Sample;
        keep[ORIGINAL] = Keep::Original;
        let first = Next { sample: down, original: 1.0 - down, noise: up, ..Next::default() };
        planned.push(Step {
            next: first,
            keep,
            draws_noise: true,
            ..at_level(settings, timestep, sigma)
        });

        let [down_next, up_next] = ancestral(sigma, sigma_next);
        let down_next = down_next / sigma;
        let share = |from: f32, to: f32| ((from - to) / (sigma - sigma_next)).sqrt();
        // up(s)·w = xₛ − down(s)/σ·x − (1 − down(s)/σ)·x₀(x)
        let recovered = up_next * share(sigma, middle) / up;
        let mut next = Next {
            sample: recovered,
            original: 1.0 - down_next,
            noise: up_next * share(middle, sigma_next),
            ..Next::default()
        };
        next.history[SAMPLE] = down_next - recovered * first.sample;
        next.history[ORIGINAL] = -recovered * first.original;
        let timestep = timestep_of(f64::from(middle), &table) as f32;
        planned.push(Step { next, draws_noise: true, ..at_level(settings, timestep, middle) });
    }
    planned
}
