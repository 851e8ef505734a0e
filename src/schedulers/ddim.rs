//! DDIM: Song, Meng & Ermon, *Denoising diffusion implicit models*, arXiv:2010.02502.
//!
//! From ᾱ to ᾱ' (equation 12, with ε̂ the predicted noise):
//!
//! ```text
//! x' = √ᾱ'·x₀ + √(1 − ᾱ' − s²)·ε̂ + s·z
//! s² = η²·(1 − ᾱ')/(1 − ᾱ)·(1 − ᾱ/ᾱ')          (equation 16)
//! ```

use super::betas::alphas_cumprod;
use super::settings::SamplerSettings;
use super::step::{Next, Step};
use super::timesteps::{indices, timesteps};
use crate::error::Result;

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Result<Vec<Step>> {
    let alphas = alphas_cumprod(settings);
    let stride = settings.num_train_timesteps / steps;
    let step = |t: usize| {
        let a = alphas[t];
        let a_next =
            t.checked_sub(stride).map_or(settings.final_alpha(&alphas), |next| alphas[next]);
        let (alpha, sigma) = (a.sqrt(), (1.0 - a).sqrt());
        let variance = (1.0 - a_next) / (1.0 - a) * (1.0 - a / a_next);
        let noise = settings.eta * variance.sqrt();
        let direction = (1.0 - a_next - noise * noise).sqrt();
        let [sample, output] = settings.prediction.epsilon(alpha, sigma);
        Step {
            original: settings.prediction.original(alpha, sigma),
            clip: settings.clip,
            next: Next {
                sample: direction * sample,
                output: direction * output,
                original: a_next.sqrt(),
                noise,
                ..Next::default()
            },
            draws_noise: settings.eta > 0.0,
            noising: [alpha, sigma],
            ..Step::at(t as f32)
        }
    };
    let timesteps = indices(settings, &timesteps(settings, steps))?;
    Ok(timesteps.into_iter().skip(start).map(step).collect())
}
