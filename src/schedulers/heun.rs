//! Heun's method on the probability-flow equation: Karras et al., *Elucidating the design space of
//! diffusion-based generative models*, arXiv:2206.00364, algorithm 1.
//!
//! An Euler step from σ to σ', then the same step again with the mean of the slopes at both ends,
//! each d = (x − x₀)/σ. Hence two evaluations a step, but one in the last, which ends at σ' = 0:
//!
//! ```text
//! x' = x + (σ' − σ)·d
//! x" = x + (σ' − σ)·(d + d')/2
//! ```

use super::euler::{at_level, levels};
use super::settings::SamplerSettings;
use super::step::{HISTORY, Keep, Next, Step};

/// The history slots of the step's first sample and of the image predicted from it.
const SAMPLE: usize = 0;
const ORIGINAL: usize = 1;

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Vec<Step> {
    let levels = levels(settings, steps);
    let mut planned = Vec::with_capacity(2 * levels.len());
    for (i, &(timestep, sigma, sigma_next)) in levels.iter().enumerate().skip(start) {
        let ratio = sigma_next / sigma;
        let mut keep = [Keep::Nothing; HISTORY];
        keep[SAMPLE] = Keep::Sample;
        keep[ORIGINAL] = Keep::Original;
        planned.push(Step {
            next: Next { sample: ratio, original: 1.0 - ratio, ..Next::default() },
            keep,
            clip: settings.clip,
            ..at_level(settings, timestep, sigma)
        });
        let Some(&(timestep_next, ..)) = levels.get(i + 1) else { continue };
        let half = (sigma_next - sigma) / 2.0;
        let mut next =
            Next { sample: half / sigma_next, original: -half / sigma_next, ..Next::default() };
        next.history[SAMPLE] = 1.0 + half / sigma;
        next.history[ORIGINAL] = -half / sigma;
        planned.push(Step {
            next,
            clip: settings.clip,
            ..at_level(settings, timestep_next, sigma_next)
        });
    }
    planned
}
