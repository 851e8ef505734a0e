//! Prompt weights (emphasis) applied to token embeddings.

use crate::error::{Error, ErrorKind, Result};

/// Multiplies the states `[T, D]` of a chunk by the weights of its tokens (those of start, end and
/// padding are 1), then all of them by the factor that restores their mean: z·w · mean(z) / mean(z·w), as
/// stable-diffusion-webui does by default (`EmphasisOriginal` in its `modules/sd_emphasis.py`).
/// `weights` are those of the tokens from row `first` on. Where all are 1, nothing changes.
///
/// # Errors
/// `Argument` if the weighted mean is zero, or the result is not finite.
pub(super) fn weigh(states: &mut [f32], weights: &[f32], width: usize, first: usize) -> Result<()> {
    if weights.iter().all(|weight| *weight == 1.0) {
        return Ok(());
    }
    let before = mean(states);
    let tokens = states.chunks_exact_mut(width).skip(first);
    for (state, weight) in tokens.zip(weights) {
        state.iter_mut().for_each(|value| *value *= weight);
    }
    let factor = (before / mean(states)) as f32;
    states.iter_mut().for_each(|value| *value *= factor);
    if states.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    let message = "prompt: the weights of its words cannot be used together: the weighted \
                   embeddings have a mean of zero, or overflow";
    Err(Error::new(ErrorKind::Argument, message))
}

fn mean(values: &[f32]) -> f64 {
    values.iter().copied().map(f64::from).sum::<f64>() / values.len().max(1) as f64
}
