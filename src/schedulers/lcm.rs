//! Latent consistency models: Luo et al., *Latent consistency models: synthesizing
//! high-resolution images with few-step inference*, arXiv:2310.04378, algorithm 3.
//!
//! The consistency function is f = c_skip·x + c_out·x₀ (section 4.1; σ = ½ is that of the data):
//!
//! ```text
//! c_skip = σ²/(s² + σ²)     c_out = s/√(s² + σ²)     s = timestep_scaling·t
//! x' = √ᾱ'·f + √(1 − ᾱ')·z,   after the last step x' = f
//! ```

use super::betas::alphas_cumprod;
use super::settings::SamplerSettings;
use super::step::{Next, Step};
use crate::error::{Error, ErrorKind, Result};

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Result<Vec<Step>> {
    const VARIANCE: f32 = 0.25;
    let alphas = alphas_cumprod(settings);
    let timesteps = timesteps(settings, steps)?;
    let step = |(i, &t): (usize, &usize)| {
        let a = alphas[t];
        let (alpha, sigma) = (a.sqrt(), (1.0 - a).sqrt());
        let scaled = t as f32 * settings.timestep_scaling;
        let skip = VARIANCE / (scaled * scaled + VARIANCE);
        let out = scaled / (scaled * scaled + VARIANCE).sqrt();
        let a_next = timesteps.get(i + 1).map(|&next| alphas[next]);
        let (keep, noise) = a_next.map_or((1.0, 0.0), |a| (a.sqrt(), (1.0 - a).sqrt()));
        Step {
            original: settings.prediction.original(alpha, sigma),
            clip: settings.clip,
            next: Next { sample: keep * skip, original: keep * out, noise, ..Next::default() },
            draws_noise: a_next.is_some(),
            noising: [alpha, sigma],
            ..Step::at(t as f32)
        }
    };
    Ok(timesteps.iter().enumerate().skip(start).map(step).collect())
}

/// The timesteps of the run: evenly spread among the `original_inference_steps` of the
/// distillation.
pub(super) fn timesteps(settings: &SamplerSettings, steps: usize) -> Result<Vec<usize>> {
    let (train, distilled) = (settings.num_train_timesteps, settings.original_inference_steps);
    if distilled > train {
        let message = format!("original_inference_steps: expected 1 to {train}, got {distilled}");
        return Err(Error::new(ErrorKind::Config, message));
    }
    if steps > distilled {
        let message = format!("steps: expected 1 to {distilled}, got {steps}");
        return Err(Error::new(ErrorKind::Argument, message));
    }
    let stride = train / distilled;
    let spread = distilled as f64 / steps as f64;
    let skipped = |i: usize| (i as f64 * spread) as usize;
    Ok((0..steps).map(|i| (distilled - skipped(i)) * stride - 1).collect())
}
