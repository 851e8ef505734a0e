//! DPM2: Karras et al., *Elucidating the design space of diffusion-based generative models*,
//! arXiv:2206.00364, algorithm 2 without its noise, as in k-diffusion.
//!
//! For samples x = x₀ + σ·ε, a step from σ to σ' first goes halfway in ln σ, to s = √(σ·σ'), and
//! then from its start to σ' with the slope at s, the noise ε̂ that is predicted there:
//!
//! ```text
//! xₛ = s/σ·x + (1 − s/σ)·x₀(x)
//! x' = x + (σ' − σ)·ε̂(xₛ)
//! ```
//!
//! The ancestral variant goes down to σ_down in place of σ', with s = √(σ·σ_down), and adds noise of
//! σ_up ([`ancestral`](super::euler_ancestral::ancestral)). The last step, to σ' = 0, is an Euler step.

use super::betas;
use super::euler::{at_level, levels};
use super::euler_ancestral::ancestral;
use super::settings::SamplerSettings;
use super::sigmas::timestep_of;
use super::step::{HISTORY, Keep, Next, Step};

/// The history slot of the step's first sample.
const SAMPLE: usize = 0;

pub(super) fn steps(
    settings: &SamplerSettings,
    noisy: bool,
    steps: usize,
    start: usize,
) -> Vec<Step> {
    let table = betas::sigmas(settings);
    let mut planned = Vec::with_capacity(2 * steps);
    for (timestep, sigma, sigma_next) in levels(settings, steps).into_iter().skip(start) {
        if sigma_next == 0.0 {
            let next = Next { original: 1.0, ..Next::default() };
            planned.push(Step { next, ..at_level(settings, timestep, sigma) });
            continue;
        }
        let [down, up] = if noisy { ancestral(sigma, sigma_next) } else { [sigma_next, 0.0] };
        let middle = (sigma * down).sqrt();
        let ratio = middle / sigma;
        let mut keep = [Keep::Nothing; HISTORY];
        keep[SAMPLE] = Keep::Sample;
        planned.push(Step {
            next: Next { sample: ratio, original: 1.0 - ratio, ..Next::default() },
            keep,
            ..at_level(settings, timestep, sigma)
        });
        let timestep = timestep_of(f64::from(middle), &table) as f32;
        let at = at_level(settings, timestep, middle);
        let [sample, output] = at.epsilon.map(|slope| (down - sigma) * slope);
        let mut next = Next { sample, output, noise: up, ..Next::default() };
        next.history[SAMPLE] = 1.0;
        planned.push(Step { next, draws_noise: noisy, ..at });
    }
    planned
}
