//! One step of a sampler as plain numbers, and its reference implementation on the CPU.

use crate::error::{Error, ErrorKind, Result};

/// Number of history slots, tensors kept from earlier steps: five, for the Runge–Kutta steps of PNDM.
pub const HISTORY: usize = 5;

/// One step of a sampler: the network's timestep, and the coefficients that give the next sample
/// from the sample `x`, the (guided) network output `m`, the unconditional output `u` (`m` where there
/// is no guidance) and fresh noise `z` ~ N(0, 1).
///
/// A step is applied in this order:
/// 1. the network gets `input_scale·x` and `timestep`, and returns `m`;
/// 2. the predicted image is `x₀ = original[0]·x + original[1]·m`, clamped to ±`clip`, and the
///    predicted noise `ε = epsilon[0]·x + epsilon[1]·m`;
/// 3. the next sample is `x' = next.sample·x + next.output·m + next.original·x₀ + next.noise·z +
///    next.unconditional·u` plus `next.history[k]·slotₖ` for every slot k;
/// 4. slot k of the history receives the value that `keep[k]` names, of *this* step (the `x` of
///    item 1, not `x'`).
///
/// A value with coefficient zero is not read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The timestep for the time embedding of the network, in training steps; may be fractional.
    pub timestep: f32,
    /// Factor of the sample in the network's input (diffusers' `scale_model_input`).
    pub input_scale: f32,
    /// Coefficients of sample and output in the predicted image x₀ (diffusers'
    /// `pred_original_sample`); they depend on `prediction_type`.
    pub original: [f32; 2],
    /// Coefficients of sample and output in the predicted noise ε.
    pub epsilon: [f32; 2],
    /// Limit ±`clip` of the predicted image (`clip_sample_range`).
    pub clip: Option<f32>,
    /// The coefficients of the next sample.
    pub next: Next,
    /// The value that each history slot receives once the next sample is computed.
    pub keep: [Keep; HISTORY],
    /// Whether noise is drawn from the generator in this step. It is drawn even if its coefficient
    /// is zero, because later draws depend on the generator's state.
    pub draws_noise: bool,
    /// Coefficients of image and noise at this step's noise level, `noising[0]·x₀ + noising[1]·z`:
    /// the start of image-to-image (diffusers' `add_noise`).
    pub noising: [f32; 2],
}

/// The coefficients of the next sample x'.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Next {
    /// Coefficient of the current sample x.
    pub sample: f32,
    /// Coefficient of the network's output m.
    pub output: f32,
    /// Coefficient of the predicted image x₀, after clamping.
    pub original: f32,
    /// Coefficient of fresh noise z ~ N(0, 1).
    pub noise: f32,
    /// Coefficient of the unconditional output u.
    pub unconditional: f32,
    /// Coefficients of the history slots.
    pub history: [f32; HISTORY],
}

/// The value that a history slot receives after a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// No value: the slot is left as it is.
    #[default]
    Nothing,
    /// The sample x that the step started from.
    Sample,
    /// The network's output m.
    Output,
    /// The predicted image x₀, after clamping.
    Original,
    /// The predicted noise ε.
    Epsilon,
}

/// The history on the CPU: tensors of earlier steps. Empty before the first step.
#[derive(Clone, Debug, Default)]
pub struct History([Vec<f32>; HISTORY]);

impl Step {
    /// This step with CFG++ (Chung et al., arXiv:2406.08070, algorithm 2): the noise that goes into the
    /// next sample is predicted by the unconditional output. The coefficient of the output in the next
    /// sample must be that noise's.
    pub(super) fn with_cfg_pp(self) -> Step {
        let next = Next { output: 0.0, unconditional: self.next.output, ..self.next };
        Step { next, ..self }
    }

    /// A step at `timestep` that leaves the sample unchanged and predicts x₀ = x; the base of
    /// struct updates.
    pub(super) fn at(timestep: f32) -> Self {
        Step {
            timestep,
            input_scale: 1.0,
            original: [1.0, 0.0],
            epsilon: [0.0, 1.0],
            clip: None,
            next: Next { sample: 1.0, ..Next::default() },
            keep: [Keep::Nothing; HISTORY],
            draws_noise: false,
            noising: [1.0, 0.0],
        }
    }

    /// The predicted image x₀ of one element, from its sample `x` and the network's output `m`.
    pub fn original(&self, x: f32, m: f32) -> f32 {
        let original = self.original[0] * x + self.original[1] * m;
        self.clip.map_or(original, |range| original.clamp(-range, range))
    }

    /// Replaces the sample `x` by the next one; the reference of the GPU kernel.
    ///
    /// `output`, `unconditional` and `noise` have one value per value of `x`; `noise` may be `None`
    /// where its coefficient is zero. Otherwise the error is of kind `Shape`.
    pub fn apply(
        &self,
        x: &mut [f32],
        output: &[f32],
        unconditional: &[f32],
        noise: Option<&[f32]>,
        history: &mut History,
    ) -> Result<()> {
        check_len("output", x.len(), output.len())?;
        check_len("unconditional", x.len(), unconditional.len())?;
        if self.next.noise != 0.0 || noise.is_some() {
            check_len("noise", x.len(), noise.map_or(0, <[f32]>::len))?;
        }
        for (slot, &coefficient) in history.0.iter().zip(&self.next.history) {
            if coefficient != 0.0 {
                check_len("history", x.len(), slot.len())?;
            }
        }
        let now: Vec<f32> = x.to_vec();
        for (i, (x, &m)) in x.iter_mut().zip(output).enumerate() {
            let original = self.original(*x, m);
            let mut sum = self.next.sample * *x + self.next.output * m;
            sum += self.next.original * original + self.next.unconditional * unconditional[i];
            if let (Some(noise), true) = (noise, self.next.noise != 0.0) {
                sum += self.next.noise * noise[i];
            }
            for (slot, &coefficient) in history.0.iter().zip(&self.next.history) {
                if coefficient != 0.0 {
                    sum += coefficient * slot[i];
                }
            }
            *x = sum;
        }
        for (slot, keep) in history.0.iter_mut().zip(self.keep) {
            let value = |(&x, &m): (&f32, &f32)| match keep {
                Keep::Nothing | Keep::Sample => x,
                Keep::Output => m,
                Keep::Original => self.original(x, m),
                Keep::Epsilon => self.epsilon[0] * x + self.epsilon[1] * m,
            };
            if keep != Keep::Nothing {
                *slot = now.iter().zip(output).map(value).collect();
            }
        }
        Ok(())
    }

    /// Whether every coefficient is a finite number.
    pub(super) fn is_finite(&self) -> bool {
        let Next { sample, output, original, noise, unconditional, history } = self.next;
        [self.timestep, self.input_scale, sample, output, original, noise, unconditional]
            .iter()
            .chain(&self.original)
            .chain(&self.epsilon)
            .chain(&history)
            .chain(&self.noising)
            .all(|value| value.is_finite())
    }
}

fn check_len(what: &str, expected: usize, got: usize) -> Result<()> {
    if expected == got {
        return Ok(());
    }
    let message = format!("scheduler step: {what}: expected {expected} values, got {got}");
    Err(Error::new(ErrorKind::Shape, message))
}
