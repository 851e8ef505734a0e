//! PNDM: Liu et al., *Pseudo numerical methods for diffusion models on manifolds*, arXiv:2202.09778;
//! by default its linear multistep method (PLMS) alone, without the Runge–Kutta start.
//!
//! With ε̂ a combination of the last outputs (equation 12), from ᾱ to ᾱ' (equation 11):
//!
//! ```text
//! x' = √(ᾱ'/ᾱ)·x − (ᾱ' − ᾱ)·ε̂/(ᾱ·√(1 − ᾱ') + √(ᾱ·(1 − ᾱ)·ᾱ'))
//! ```
//!
//! The start of PLMS is a Heun step: the first step is taken twice, the second time with the mean of the
//! outputs at both its ends. Hence a run has one evaluation more than it has steps.
//!
//! A configuration with `skip_prk_steps: false` begins with three Runge–Kutta steps instead (equation
//! 13), of four evaluations each: with f the step above, h half a stride,
//!
//! ```text
//! x₁ = f(x, m₀, t → t − h)   x₂ = f(x, m₁, t → t − h)   x₃ = f(x, m₂, t → t − 2h)
//! x' = f(x, (m₀ + 2·m₁ + 2·m₂ + m₃)/6, t → t − 2h)
//! ```
//!
//! where m₂ follows from x₃. One without the key is read as true, which every Stable Diffusion has;
//! diffusers would begin with Runge–Kutta steps.

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

/// The history slot of the first sample of a step with several evaluations; the slots before it hold
/// the last three outputs in turn.
const FIRST_SAMPLE: usize = 3;

/// The history slot of the second output of a Runge–Kutta step.
const SECOND_OUTPUT: usize = 4;

/// The number of Runge–Kutta steps.
const RUNGE_KUTTA: usize = 3;

pub(super) fn steps(settings: &SamplerSettings, steps: usize, start: usize) -> Result<Vec<Step>> {
    let alphas = alphas_cumprod(settings);
    let stride = settings.num_train_timesteps / steps;
    let mut timesteps = indices(settings, &timesteps(settings, steps))?;
    if settings.runge_kutta {
        return with_runge_kutta(settings, &alphas, &timesteps, start);
    }
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
            let kept = evaluation.saturating_sub(1);
            next = multistep(coefficients(settings, &alphas, t, t.checked_sub(stride))?, kept);
            keep[kept % FIRST_SAMPLE] = Keep::Output;
            if evaluation == 0 {
                keep[FIRST_SAMPLE] = Keep::Sample;
            }
        }
        Ok(Step { next, keep, ..evaluation_at(settings, &alphas, t) })
    };
    timesteps.iter().skip(start).enumerate().map(step).collect()
}

/// The step after `kept` outputs, from the coefficients of sample and combined output.
fn multistep([sample, output]: [f32; 2], kept: usize) -> Next {
    let weights = WEIGHTS[kept.min(3)];
    let mut next = Next { sample, output: output * weights[0], ..Next::default() };
    for (age, weight) in weights.iter().enumerate().skip(1) {
        next.history[(kept - age) % FIRST_SAMPLE] = output * weight;
    }
    next
}

/// The step at a timestep; the caller sets `next`.
fn evaluation_at(settings: &SamplerSettings, alphas: &[f32], t: usize) -> Step {
    let (alpha, sigma) = (alphas[t].sqrt(), (1.0 - alphas[t]).sqrt());
    Step {
        original: settings.prediction.original(alpha, sigma),
        noising: [alpha, sigma],
        ..Step::at(t as f32)
    }
}

/// Three Runge–Kutta steps, then the linear multistep method.
fn with_runge_kutta(
    settings: &SamplerSettings,
    alphas: &[f32],
    timesteps: &[usize],
    start: usize,
) -> Result<Vec<Step>> {
    let steps = timesteps.len();
    if steps <= RUNGE_KUTTA || start > 0 {
        let message = match start {
            0 => format!("steps: expected 4 or more with skip_prk_steps: false, got {steps}"),
            _ => "skip_prk_steps: expected true for a run that starts from a picture".to_owned(),
        };
        return Err(Error::new(ErrorKind::Argument, message));
    }
    let stride = settings.num_train_timesteps / steps;
    let half = stride / 2;
    let mut planned = Vec::with_capacity(steps + 3 * RUNGE_KUTTA);
    for (i, pair) in timesteps.windows(2).take(RUNGE_KUTTA).enumerate() {
        let &[from, to] = pair else { continue };
        let middle = to + half;
        // The timestep of each evaluation and that of its result.
        let evaluations = [from, middle, middle, to];
        let results = [from.checked_sub(half), Some(middle), Some(to), Some(to)];
        for (evaluation, (&t, result)) in evaluations.iter().zip(results).enumerate() {
            let [sample, output] = coefficients(settings, alphas, from, result)?;
            let mut next = Next { output, ..Next::default() };
            let mut keep = [Keep::Nothing; HISTORY];
            match evaluation {
                0 => {
                    next.sample = sample;
                    (keep[i], keep[FIRST_SAMPLE]) = (Keep::Output, Keep::Sample);
                }
                1 => {
                    next.history[FIRST_SAMPLE] = sample;
                    keep[SECOND_OUTPUT] = Keep::Output;
                }
                2 => next.history[FIRST_SAMPLE] = sample,
                _ => {
                    // output·m₂ is what x₃, the sample here, has more than its first sample's part.
                    next.sample = 1.0 / 3.0;
                    next.output = output / 6.0;
                    next.history[FIRST_SAMPLE] = sample * 2.0 / 3.0;
                    next.history[i] = output / 6.0;
                    next.history[SECOND_OUTPUT] = output / 3.0;
                }
            }
            planned.push(Step { next, keep, ..evaluation_at(settings, alphas, t) });
        }
    }
    for (kept, &t) in timesteps.iter().enumerate().skip(RUNGE_KUTTA) {
        let next = multistep(coefficients(settings, alphas, t, t.checked_sub(stride))?, kept);
        let mut keep = [Keep::Nothing; HISTORY];
        keep[kept % FIRST_SAMPLE] = Keep::Output;
        planned.push(Step { next, keep, ..evaluation_at(settings, alphas, t) });
    }
    Ok(planned)
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
