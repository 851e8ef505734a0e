//! UFOGen: Xu et al., *UFOGen: you forward once large scale text-to-image generation via
//! diffusion GANs*, arXiv:2311.09257: the network's x₀ is the image.
//!
//! ```text
//! x' = √ᾱ'·x₀ + √(1 − ᾱ')·z,   after the last step x' = x₀
//! ```
//!
//! With more than one step the image is noised again, to the level of the next timestep
//! (section 4.3). Diffusers has no such scheduler: these equations are the reference. Its
//! timesteps are trailing unless the configuration says otherwise, so that one step is at N − 1.

use super::betas::alphas_cumprod;
use super::settings::SamplerSettings;
use super::step::{Next, Step};
use super::timesteps::{indices, timesteps};
use crate::error::Result;

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Result<Vec<Step>> {
    let alphas = alphas_cumprod(settings);
    let timesteps = indices(settings, &timesteps(settings, steps))?;
    let step = |(i, &t): (usize, &usize)| {
        let a = alphas[t];
        let (alpha, sigma) = (a.sqrt(), (1.0 - a).sqrt());
        let a_next = timesteps.get(i + 1).map(|&next| alphas[next]);
        let (original, noise) = a_next.map_or((1.0, 0.0), |a| (a.sqrt(), (1.0 - a).sqrt()));
        Step {
            original: settings.prediction.original(alpha, sigma),
            clip: settings.clip,
            next: Next { original, noise, ..Next::default() },
            draws_noise: a_next.is_some(),
            noising: [alpha, sigma],
            ..Step::at(t as f32)
        }
    };
    Ok(timesteps.iter().enumerate().skip(start).map(step).collect())
}
