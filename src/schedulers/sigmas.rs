//! Noise levels σ that lie between those of the training timesteps, in f64 as NumPy computes them.

use super::beta_distribution::beta_quantile;
use super::settings::SigmaSpacing;
use super::timesteps::linspace;

/// `count` noise levels spaced by `spacing` from the first of `ends` to the second, both included;
/// `rho` is the exponent of Karras' spacing.
pub(super) fn spaced_sigmas(
    spacing: SigmaSpacing,
    rho: f64,
    [sigma_max, sigma_min]: [f64; 2],
    count: usize,
) -> Vec<f64> {
    match spacing {
        SigmaSpacing::Karras => {
            let (max, min) = (sigma_max.powf(1.0 / rho), sigma_min.powf(1.0 / rho));
            let ramp = linspace(0.0, 1.0, count);
            ramp.iter().map(|ramp| (max + ramp * (min - max)).powf(rho)).collect()
        }
        SigmaSpacing::Exponential => {
            let logs = linspace(sigma_max.ln(), sigma_min.ln(), count);
            logs.iter().map(|log| log.exp()).collect()
        }
        SigmaSpacing::Lu => {
            let log = |sigma: f64| f64::from((sigma as f32).ln());
            let logs = linspace(log(sigma_max), log(sigma_min), count);
            logs.iter().map(|log| log.exp()).collect()
        }
        SigmaSpacing::Beta => {
            let ramp = linspace(0.0, 1.0, count);
            let fraction = |ramp: &f64| beta_quantile(1.0 - ramp);
            ramp.iter().map(|r| sigma_min + fraction(r) * (sigma_max - sigma_min)).collect()
        }
    }
}

/// The table's value at a fractional index, linearly interpolated; the last value beyond the end.
pub(super) fn interpolate(table: &[f32], index: f64) -> f64 {
    let low = index.floor().max(0.0) as usize;
    match table.get(low..low + 2) {
        Some(&[a, b]) => {
            let (a, b) = (f64::from(a), f64::from(b));
            (b - a) * (index - low as f64) + a
        }
        _ => table.last().map_or(f64::NAN, |&last| f64::from(last)),
    }
}

/// The fractional timestep whose noise level is `sigma`: ln σ is interpolated linearly.
pub(super) fn timestep_of(sigma: f64, sigmas: &[f32]) -> f64 {
    let log_sigma = sigma.max(1e-10).ln();
    let log = |i: usize| sigmas.get(i).map_or(f32::NAN, |sigma| sigma.ln());
    let below = (0..sigmas.len()).rev().find(|&i| f64::from(log(i)) <= log_sigma).unwrap_or(0);
    let low = below.min(sigmas.len().saturating_sub(2));
    let (a, b) = (log(low), log(low + 1));
    let w = ((f64::from(a) - log_sigma) / f64::from(a - b)).clamp(0.0, 1.0);
    (1.0 - w) * low as f64 + w * (low + 1) as f64
}
