//! DDPM: Ho, Jain & Abbeel, *Denoising diffusion probabilistic models*, arXiv:2006.11239.
//!
//! From ᾱ to ᾱ' in steps of any size, with α = ᾱ/ᾱ' and β = 1 − α (equation 7):
//!
//! ```text
//! x' = √ᾱ'·β/(1 − ᾱ)·x₀ + √α·(1 − ᾱ')/(1 − ᾱ)·x + s·z
//! s² = (1 − ᾱ')/(1 − ᾱ)·β   or   s² = β          (section 3.2)
//! ```

use super::betas::alphas_cumprod;
use super::settings::{SamplerSettings, Variance};
use super::step::{Next, Step};
use super::timesteps::{indices, timesteps};
use crate::error::Result;

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Result<Vec<Step>> {
    let alphas = alphas_cumprod(settings);
    let timesteps = indices(settings, &timesteps(settings, steps))?;
    let step = |(i, &t): (usize, &usize)| {
        let a = alphas[t];
        let a_next = timesteps.get(i + 1).map_or(1.0, |&next| alphas[next]);
        let (alpha, sigma) = (a.sqrt(), (1.0 - a).sqrt());
        let alpha_step = a / a_next;
        let beta = 1.0 - alpha_step;
        let variance = match settings.variance {
            Variance::Large => beta,
            Variance::Small | Variance::Other => ((1.0 - a_next) / (1.0 - a) * beta).max(1e-20),
        };
        Step {
            original: settings.prediction.original(alpha, sigma),
            clip: settings.clip,
            next: Next {
                sample: alpha_step.sqrt() * (1.0 - a_next) / (1.0 - a),
                original: a_next.sqrt() * beta / (1.0 - a),
                noise: if t > 0 { variance.sqrt() } else { 0.0 },
                ..Next::default()
            },
            draws_noise: t > 0,
            noising: [alpha, sigma],
            ..Step::at(t as f32)
        }
    };
    Ok(timesteps.iter().enumerate().skip(start).map(step).collect())
}
