//! Training settings of a single file's UNet: prediction type, zero terminal SNR, distillation.

use crate::error::{Error, ErrorKind, Result};
use crate::families::{Family, Training};
use crate::schedulers::Prediction;
use crate::weights::Weights;

/// The training settings of a UNet that its sampler needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// The quantity it predicts.
    pub prediction: Prediction,
    /// Whether the file states the prediction itself; otherwise it is the family's usual one.
    pub told: bool,
    /// Whether it was trained with zero terminal SNR: the last timestep is pure noise (Lin et al., arXiv 2305.08891).
    pub zero_snr: bool,
    /// Whether it is SD-Turbo, which was distilled to a few steps.
    pub turbo: bool,
}

impl Sampling {
    /// The training that a file states, else the one that is usual in its family. Weights do not
    /// show it: metadata come first, then the marks that trainers leave as tensors `v_pred` and
    /// `ztsnr`, then what the family knows.
    ///
    /// # Errors
    /// `Format` if the metadata name an unknown prediction type.
    pub fn of(family: &Family, weights: &Weights) -> Result<Sampling> {
        let metadata = weights.metadata();
        let marked = |mark: &str| weights.shape(mark).is_some();
        let usual = family.published.as_ref().map(|published| (published.training)(weights));
        let usual = usual.unwrap_or(Training::NOISE);
        let keys = ["modelspec.prediction_type", "modelspec.predict_key", "prediction_type"];
        let stated = keys.iter().find_map(|key| metadata.get(*key));
        let told = stated.is_some() || marked("v_pred");
        let prediction = match stated {
            Some(word) => word.parse().map_err(|error: Error| {
                Error::new(ErrorKind::Format, format!("metadata: {error}"))
            })?,
            None if marked("v_pred") => Prediction::Velocity,
            None => usual.prediction,
        };
        Ok(Sampling { prediction, told, zero_snr: marked("ztsnr"), turbo: usual.turbo })
    }
}
