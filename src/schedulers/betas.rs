//! The noise schedule of training: βₜ, ᾱₜ = Πₛ≤ₜ (1 − βₛ) (`alphas_cumprod`) and the noise levels
//! σₜ.
//!
//! In PyTorch's precision (bit-identical on x86 with AVX2): β in f32, with fused multiply-adds in
//! `linspace`, and the product accumulated in f64 and stored in f32.

use std::f64::consts::FRAC_PI_2;

use super::settings::{BetaSchedule, SamplerSettings};

/// ᾱₜ of every training step t (diffusers' `alphas_cumprod`).
pub(super) fn alphas_cumprod(settings: &SamplerSettings) -> Vec<f32> {
    let betas = betas(settings);
    let mut alphas: Vec<f32> = betas.iter().map(|beta| 1.0 - beta).collect();
    if settings.rescale_betas_zero_snr {
        alphas = zero_terminal_snr(&cumulative_product(&alphas));
    }
    cumulative_product(&alphas)
}

/// The noise-to-signal ratios σₜ = √((1 − ᾱₜ)/ᾱₜ); ᾱ = 0 counts as 2⁻²⁴.
pub(super) fn sigmas(settings: &SamplerSettings) -> Vec<f32> {
    let mut alphas = alphas_cumprod(settings);
    if let (true, Some(last)) = (settings.rescale_betas_zero_snr, alphas.last_mut()) {
        *last = 1.0 / 16_777_216.0;
    }
    alphas.iter().map(|a| ((1.0 - a) / a).sqrt()).collect()
}

fn betas(settings: &SamplerSettings) -> Vec<f32> {
    let (count, [start, end]) = (settings.num_train_timesteps, settings.beta_range);
    if let Some(betas) = &settings.trained_betas {
        return betas.clone();
    }
    match settings.beta_schedule {
        BetaSchedule::Linear => linspace(start as f32, end as f32, count),
        BetaSchedule::ScaledLinear => {
            let roots = linspace(start.sqrt() as f32, end.sqrt() as f32, count);
            roots.iter().map(|root| root * root).collect()
        }
        BetaSchedule::SquaredCosine => {
            let bar = |t: f64| ((t + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
            let time = |i: usize| i as f64 / count as f64;
            let beta = |i: usize| (1.0 - bar(time(i + 1)) / bar(time(i))).min(0.999);
            (0..count).map(|i| beta(i) as f32).collect()
        }
    }
}

/// `count` values from `start` to `end`; as in PyTorch, the first half is counted from `start`, the
/// second from `end`.
fn linspace(start: f32, end: f32, count: usize) -> Vec<f32> {
    let last = count.saturating_sub(1);
    let step = if last == 0 { 0.0 } else { (end - start) / last as f32 };
    let value = |i: usize| match i < count / 2 || last == 0 {
        true => step.mul_add(i as f32, start),
        false => (-step).mul_add((last - i) as f32, end),
    };
    (0..count).map(value).collect()
}

fn cumulative_product(alphas: &[f32]) -> Vec<f32> {
    let product = alphas.iter().scan(1.0f64, |product, &alpha| {
        *product *= f64::from(alpha);
        Some(*product as f32)
    });
    product.collect()
}

/// Rescales √ᾱ so that the last is zero and the first unchanged (`rescale_betas_zero_snr`;
/// arXiv:2305.08891, algorithm 1); gives the alphas.
fn zero_terminal_snr(alphas_cumprod: &[f32]) -> Vec<f32> {
    let roots: Vec<f32> = alphas_cumprod.iter().map(|a| a.sqrt()).collect();
    let (first, last) = match roots.as_slice() {
        [first, .., last] => (*first, *last),
        _ => return alphas_cumprod.to_vec(),
    };
    let scale = first / (first - last);
    let bars = roots.iter().map(|root| ((root - last) * scale).powi(2));
    // diffusers computes β = 1 − α here, which costs a rounding.
    let alphas = bars.scan(1.0, |before, bar| {
        let alpha = bar / *before;
        *before = bar;
        Some(1.0 - (1.0 - alpha))
    });
    alphas.collect()
}
