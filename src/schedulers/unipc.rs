//! UniPC of first to third order, multistep: Zhao et al., *UniPC: a unified predictor-corrector
//! framework for fast sampling of diffusion models*, arXiv:2302.04867, predicting x₀.
//!
//! From level s to level t, with α, σ, λ and h as in DPM-Solver++, m₀ the image predicted at s, m₁
//! and m₂ those at the levels before, rₖ = (λ of mₖ − λₛ)/h, and B = e⁻ʰ − 1 (bh2) or −h (bh1):
//!
//! ```text
//! predictor  x' = σₜ/σₛ·x − αₜ·(e⁻ʰ − 1)·m₀ − αₜ·B·Σ ρₖ·(mₖ − m₀)/rₖ
//! corrector  x" = the same with other ρₖ, and with the image predicted from x' as one more m, r = 1
//! Σₖ ρₖ·rₖⁿ⁻¹ = bₙ = n!·z·φₙ₊₁(z)/B,  z = −h,  φ₁ = (eᶻ − 1)/z,  φₙ₊₁ = (φₙ − 1/n!)/z
//! ```
//!
//! The corrector runs in the next step, where the image is known that the network predicts from x'.
//! Since x" − x' is a combination of images only, neither x nor x" has to be kept.

use super::kind::SchedulerKind;
use super::multistep::{Level, levels};
use super::settings::{SamplerSettings, SolverType};
use super::step::{HISTORY, Keep, Next, Step};
use crate::error::Result;

/// The highest order of a predictor.
const MAX_ORDER: usize = 3;

/// The history slots: the predicted images of as many steps in turn.
const SLOTS: usize = MAX_ORDER + 1;

/// The factors of the predicted images in a step from s to t.
#[derive(Clone, Copy, Default)]
struct ImageFactors {
    /// Factors of m₀, m₁, m₂.
    known: [f32; MAX_ORDER],
    /// Factor of the image predicted at t; zero in a predictor.
    new: f32,
}

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Result<Vec<Step>> {
    let (timesteps, levels) = levels(settings, SchedulerKind::UniPc, steps)?;
    let count = timesteps.len();
    let order = |i: usize| {
        let left = if settings.lower_order_final { count - i } else { MAX_ORDER };
        settings.solver_order.min(left).min(i - start + 1)
    };
    let step = |i: usize| {
        let (now, next) = (levels[i], levels[i + 1]);
        let slot = |age: usize| (i - age) % SLOTS;
        let ratio = next.sigma / now.sigma;
        let predictor = weights(settings, &levels, i, order(i), false);
        let mut coefficients =
            Next { sample: ratio, original: predictor.known[0], ..Next::default() };
        for age in 1..order(i) {
            coefficients.history[slot(age)] += predictor.known[age];
        }
        if let Some(before) = i.checked_sub(1).filter(|&before| before >= start) {
            let order = order(before);
            let predicted = weights(settings, &levels, before, order, false);
            let corrected = weights(settings, &levels, before, order, true);
            coefficients.original += ratio * corrected.new;
            for k in 0..order {
                let correction = corrected.known[k] - predicted.known[k];
                coefficients.history[slot(k + 1)] += ratio * correction;
            }
        }
        let mut keep = [Keep::Nothing; HISTORY];
        keep[slot(0)] = Keep::Original;
        Step { next: coefficients, keep, ..now.evaluation(settings, timesteps[i]) }
    };
    Ok((start..count).map(step).collect())
}

/// The weights of predictor or corrector of `order` from level number `i` to the next.
///
/// In f32 and in diffusers' order of operations: for small steps bₙ loses digits, there too.
fn weights(
    settings: &SamplerSettings,
    levels: &[Level],
    i: usize,
    order: usize,
    corrector: bool,
) -> ImageFactors {
    let (now, next) = (levels[i], levels[i + 1]);
    let h = next.lambda - now.lambda;
    let growth = (-h).exp_m1();
    let b = if settings.solver_type == SolverType::Bh1 { -h } else { growth };
    let mut nodes: Vec<f32> = (1..order).map(|k| (levels[i - k].lambda - now.lambda) / h).collect();
    if corrector {
        nodes.push(1.0);
    }
    let rho = match nodes.len() {
        0 => Vec::new(),
        // For second order diffusers, like the paper's code, takes the approximation 1/2.
        1 => vec![0.5],
        _ => solve(&nodes, &moments(-h, b, nodes.len())),
    };
    let mut weights = ImageFactors::default();
    weights.known[0] = -next.alpha * growth;
    for (k, (rho, node)) in rho.iter().zip(&nodes).enumerate() {
        let weight = -next.alpha * b * rho / node;
        weights.known[0] -= weight;
        match weights.known.get_mut(k + 1) {
            Some(known) if k + 1 < order => *known = weight,
            _ => weights.new = weight,
        }
    }
    weights
}

/// b₁, b₂, … for z = −h and this B.
fn moments(z: f32, b: f32, count: usize) -> Vec<f32> {
    let mut z_phi = z.exp_m1() / z - 1.0;
    let mut factorial = 1.0;
    let moment = |n: usize| {
        let moment = z_phi * factorial / b;
        factorial *= (n + 1) as f32;
        z_phi = z_phi / z - 1.0 / factorial;
        moment
    };
    (1..=count).map(moment).collect()
}

/// The ρ of Σₖ ρₖ·rₖⁿ⁻¹ = bₙ for n = 1, …, by Gaussian elimination with row pivoting.
fn solve(nodes: &[f32], moments: &[f32]) -> Vec<f32> {
    let size = nodes.len();
    let row = |n: usize| -> Vec<f32> {
        nodes.iter().map(|node| node.powi(n as i32)).chain([moments[n]]).collect()
    };
    let mut rows: Vec<Vec<f32>> = (0..size).map(row).collect();
    for column in 0..size {
        let largest = |&a: &usize, &b: &usize| {
            rows[a][column].abs().total_cmp(&rows[b][column].abs()).then(b.cmp(&a))
        };
        let pivot = (column..size).max_by(largest).unwrap_or(column);
        rows.swap(column, pivot);
        let upper = rows[column].clone();
        for lower in &mut rows[column + 1..] {
            let factor = lower[column] / upper[column];
            lower.iter_mut().zip(&upper).for_each(|(value, upper)| *value -= factor * upper);
        }
    }
    let mut solution = vec![0.0; size];
    for i in (0..size).rev() {
        let known: f32 = (i + 1..size).map(|j| rows[i][j] * solution[j]).sum();
        solution[i] = (rows[i][size] - known) / rows[i][i];
    }
    solution
}
