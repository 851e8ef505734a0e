//! The timesteps of a run of n steps, chosen from the training timesteps.
//!
//! The spacings are those of arXiv:2305.08891, table 2, in f64 as NumPy computes them.

use super::settings::{SamplerSettings, TimestepSpacing};
use crate::error::{Error, ErrorKind, Result};

/// The timesteps of `steps` steps, descending; those of linspace are not rounded yet.
pub(super) fn timesteps(settings: &SamplerSettings, steps: usize) -> Vec<f64> {
    spaced(settings, steps, steps, settings.num_train_timesteps)
}

/// The timesteps below the training step `end`; leading and linspace spacing take the stride of a
/// run of `count` steps.
pub(super) fn spaced(
    settings: &SamplerSettings,
    steps: usize,
    count: usize,
    end: usize,
) -> Vec<f64> {
    let train = settings.num_train_timesteps;
    let mut timesteps: Vec<f64> = match settings.timestep_spacing {
        TimestepSpacing::Linspace => linspace(0.0, end as f64 - 1.0, count),
        TimestepSpacing::Leading => {
            let stride = end / count;
            (0..count).map(|i| (i * stride + settings.steps_offset) as f64).collect()
        }
        TimestepSpacing::Trailing => {
            // NumPy's arange multiplies by the difference of its first two values. For some n (61
            // of 1000) diffusers' rounding adds a timestep −1 after the n-th; it is left out here.
            let (end, stride) = (end as f64, train as f64 / steps as f64);
            let difference = (end - stride) - end;
            let mut all: Vec<f64> = (0..steps)
                .map(|i| end + i as f64 * difference)
                .take_while(|&t| t > 0.0)
                .map(|t| t.round_ties_even() - 1.0)
                .collect();
            all.reverse();
            all
        }
    };
    timesteps.reverse();
    timesteps
}

/// The timesteps as indices into the training steps; an error of kind `Argument` if one is out of
/// range.
pub(super) fn indices(settings: &SamplerSettings, timesteps: &[f64]) -> Result<Vec<usize>> {
    let train = settings.num_train_timesteps;
    let index = |&timestep: &f64| {
        let t = timestep.round_ties_even();
        if t >= 0.0 && t < train as f64 {
            return Ok(t as usize);
        }
        let message = format!(
            "scheduler: steps: {} of {train} training steps reach timestep {t} (expected 0 to {}): \
             take fewer steps or a smaller steps_offset",
            timesteps.len(),
            train - 1,
        );
        Err(Error::new(ErrorKind::Argument, message))
    };
    timesteps.iter().map(index).collect()
}

/// `count` values from `start` to `end`, both included.
pub(super) fn linspace(start: f64, end: f64, count: usize) -> Vec<f64> {
    let last = count.saturating_sub(1);
    let step = (end - start) / last.max(1) as f64;
    let value = |i: usize| if i > 0 && i == last { end } else { start + i as f64 * step };
    (0..count).map(value).collect()
}
