//! LMS: the linear multistep method of k-diffusion, Adams–Bashforth of up to fourth order over the
//! noise levels σ (Hairer, Nørsett & Wanner, *Solving ordinary differential equations I*, section
//! III.5).
//!
//! For samples x = x₀ + σ·ε the slope is the predicted noise ε̂ = (x − x₀)/σ. With εₖ that of k steps
//! before, at σₖ,
//!
//! ```text
//! x' = x + Σₖ cₖ·εₖ      cₖ = ∫ Πⱼ≠ₖ (τ − σⱼ)/(σₖ − σⱼ) dτ  from σ₀ to σ'
//! ```

use super::euler::{at_level, levels};
use super::settings::SamplerSettings;
use super::step::{HISTORY, Keep, Next, Step};

/// The highest order; diffusers' default.
const ORDER: usize = 4;

/// The history slots: the predicted noises of the last three steps in turn.
const SLOTS: usize = ORDER - 1;

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Vec<Step> {
    let levels = levels(settings, steps);
    let step = |(i, &(timestep, sigma, sigma_next)): (usize, &(f32, f32, f32))| {
        let order = ORDER.min(i - start + 1);
        let nodes: Vec<f64> = (0..order).map(|age| f64::from(levels[i - age].1)).collect();
        let weight = |age| integral(&nodes, age, f64::from(sigma_next)) as f32;
        let at = at_level(settings, timestep, sigma);
        let [sample, output] = at.epsilon;
        let now = weight(0);
        let mut next = Next { sample: 1.0 + now * sample, output: now * output, ..Next::default() };
        for age in 1..order {
            next.history[(i - age) % SLOTS] = weight(age);
        }
        let mut keep = [Keep::Nothing; HISTORY];
        keep[i % SLOTS] = Keep::Epsilon;
        Step { next, keep, ..at }
    };
    levels.iter().enumerate().skip(start).map(step).collect()
}

/// The integral from the first node to `end` of the polynomial that is 1 at the node `one` and 0 at
/// the others. Of a cubic, Gauss' rule with two points is exact.
fn integral(nodes: &[f64], one: usize, end: f64) -> f64 {
    let others = || nodes.iter().enumerate().filter(|&(k, _)| k != one).map(|(_, node)| node);
    let value = |t: f64| others().map(|node| (t - node) / (nodes[one] - node)).product::<f64>();
    let (middle, half) = ((nodes[0] + end) / 2.0, (end - nodes[0]) / 2.0);
    let point = half / 3.0f64.sqrt();
    half * (value(middle - point) + value(middle + point))
}
