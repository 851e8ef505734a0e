//! PLMS, the linear multistep method of PNDM without its Runge–Kutta start: Liu et al., *Pseudo
//! numerical methods for diffusion models on manifolds*, arXiv:2202.09778.
//!
//! With ε̂ a combination of the last outputs (equation 12), from ᾱ to ᾱ' (equation 11):
//!
//! ```text
//! x' = √(ᾱ'/ᾱ)·x − (ᾱ' − ᾱ)·ε̂/(ᾱ·√(1 − ᾱ') + √(ᾱ·(1 − ᾱ)·ᾱ'))
//! ```
//!
//! A configuration with `skip_prk_steps: false` is refused. One without the key is read as true,
//! which every Stable Diffusion has; diffusers would begin with Runge–Kutta steps.
//!
//! The start is a Heun step: the first step is taken twice, the second time with the mean of the
//! outputs at both its ends. Hence a run has one evaluation more than it has steps.

use super::betas::alphas_cumprod;
use super::settings::SamplerSettings;
use super::step::{HISTORY, Keep, Next, Step};
use super::timesteps::{indices, timesteps};
use crate::error::{Error, ErrorKind, Result};

/// The weights of the newest output and of those before it, by the number of outputs.
const WEIGHTS: [&[f32]; 4] = [
    &[1.0],
    &[3.0 / 2.0, -1.0 / 2.0],
    &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
    &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
];

/// The history slot of the first sample; the slots before it hold the last three outputs in turn.
const FIRST_SAMPLE: usize = HISTORY - 1;

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Result<Vec<Step>> {
    let alphas = alphas_cumprod(settings);
    let stride = settings.num_train_timesteps / steps;
    let mut timesteps = indices(settings, &timesteps(settings, steps))?;
    if let Some(&second) = timesteps.get(1) {
        timesteps.insert(1, second);
    }
    let step = |(evaluation, &t): (usize, &usize)| {
        let mut next = Next::default();
        let mut keep = [Keep::Nothing; HISTORY];
        if evaluation == 1 {
            // The first step again, from its sample. This output is not kept.
            let [sample, output] = coefficients(settings, &alphas, t + stride, Some(t))?;
            next.output = output / 2.0;
            next.history[0] = output / 2.0;
            next.history[FIRST_SAMPLE] = sample;
        } else {
            let [sample, output] = coefficients(settings, &alphas, t, t.checked_sub(stride))?;
            let kept = evaluation.saturating_sub(1);
            let weights = WEIGHTS[kept.min(3)];
            next.sample = sample;
            next.output = output * weights[0];
            for (age, weight) in weights.iter().enumerate().skip(1) {
                next.history[(kept - age) % FIRST_SAMPLE] = output * weight;
            }
            keep[kept % FIRST_SAMPLE] = Keep::Output;
            if evaluation == 0 {
                keep[FIRST_SAMPLE] = Keep::Sample;
            }
        }
        let (alpha, sigma) = (alphas[t].sqrt(), (1.0 - alphas[t]).sqrt());
        Ok(Step {
            original: settings.prediction.original(alpha, sigma),
            next,
            keep,
            noising: [alpha, sigma],
            ..Step::at(t as f32)
        })
    };
    timesteps.iter().skip(start).enumerate().map(step).collect()
}

/// The coefficients of sample and output in a step from one timestep to another; `None` is the
/// clean image before the first timestep.
fn coefficients(
    settings: &SamplerSettings,
    alphas: &[f32],
    from: usize,
    to: Option<usize>,
) -> Result<[f32; 2]> {
    let a = *alphas.get(from).ok_or_else(|| {
        let message = format!("timestep {from}: expected one below {}", alphas.len());
        Error::new(ErrorKind::Argument, message)
    })?;
    let a_next = to.map_or(settings.final_alpha(alphas), |to| alphas[to]);
    let sample = (a_next / a).sqrt();
    let noise = -(a_next - a) / (a * (1.0 - a_next).sqrt() + (a * (1.0 - a) * a_next).sqrt());
    let [of_sample, of_output] = settings.prediction.epsilon(a.sqrt(), (1.0 - a).sqrt());
    Ok([sample + noise * of_sample, noise * of_output])
}
