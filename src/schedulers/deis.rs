//! DEIS: Zhang & Chen, *Fast sampling of diffusion models with exponential integrator*,
//! arXiv:2204.13902, multistep, with polynomials in ln ρ (its ρAB-DEIS, there in ρ).
//!
//! With ρ = σ/α at a level, and εₖ the noise predicted k steps before, at ρₖ,
//!
//! ```text
//! order 1   x' = α'/α·x − σ'·(eʰ − 1)·ε₀
//! order n   x' = α'·(x/α + Σₖ cₖ·εₖ)      cₖ = ∫ Πⱼ≠ₖ (ln τ − ln ρⱼ)/(ln ρₖ − ln ρⱼ) dτ  from ρ₀ to ρ'
//! ```

use super::kind::SchedulerKind;
use super::multistep::{Level, levels};
use super::settings::SamplerSettings;
use super::step::{HISTORY, Keep, Next, Step};
use crate::error::Result;

/// The history slots: the predicted noises of two steps in turn.
const SLOTS: usize = 2;

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Result<Vec<Step>> {
    let (timesteps, levels) = levels(settings, SchedulerKind::Deis, steps)?;
    let count = timesteps.len();
    let few = settings.lower_order_final && count < 15;
    let order = |i: usize| {
        let left = if few { count - i } else { usize::MAX };
        settings.solver_order.min(left).min(i - start + 1)
    };
    let step = |i: usize| {
        let (now, next) = (levels[i], levels[i + 1]);
        let at = now.evaluation(settings, timesteps[i]);
        let ratio = next.alpha / now.alpha;
        let slot = |age: usize| (i - age) % SLOTS;
        let mut history = [0.0; HISTORY];
        let newest = match order(i) {
            1 => -next.sigma * ((next.lambda - now.lambda).exp() - 1.0),
            order => {
                let known: Vec<f64> = (0..order).map(|age| log_rho(levels[i - age])).collect();
                let weight =
                    |age| (f64::from(next.alpha) * integral(&known, age, log_rho(next))) as f32;
                for age in 1..order {
                    history[slot(age)] = weight(age);
                }
                weight(0)
            }
        };
        let [sample, output] = at.epsilon.map(|coefficient| newest * coefficient);
        let mut keep = [Keep::Nothing; HISTORY];
        keep[slot(0)] = Keep::Epsilon;
        let next = Next { sample: ratio + sample, output, history, ..Next::default() };
        Step { next, keep, ..at }
    };
    Ok((start..count).map(step).collect())
}

fn log_rho(level: Level) -> f64 {
    (f64::from(level.sigma) / f64::from(level.alpha)).ln()
}

/// The integral over τ, from the first node to `end`, of the polynomial in ln τ that is 1 at the node
/// `one` and 0 at the others; `nodes` and `end` are logarithms.
///
/// With u = ln τ, ∫ dτ = τ, ∫ u·dτ = τ·(u − 1) and ∫ u²·dτ = τ·(u² − 2u + 2). Logarithms are taken from
/// the first node, where the integral begins, which keeps the digits of short steps.
fn integral(nodes: &[f64], one: usize, end: f64) -> f64 {
    let at = |node: usize| nodes[node] - nodes[0];
    let u = end - nodes[0];
    let growth = u.exp_m1();
    // The moments ∫ uⁿ·eᵘ du from 0 to u.
    let moments = [growth, u * u.exp() - growth, (u * u - 2.0 * u) * u.exp() + 2.0 * growth];
    let others: Vec<f64> = (0..nodes.len()).filter(|&k| k != one).map(at).collect();
    let value: f64 = match others.as_slice() {
        [a] => moments[1] - a * moments[0],
        [a, b] => moments[2] - (a + b) * moments[1] + a * b * moments[0],
        _ => moments[0],
    };
    let scale: f64 = others.iter().map(|other| at(one) - other).product();
    nodes[0].exp() * value / scale
}
