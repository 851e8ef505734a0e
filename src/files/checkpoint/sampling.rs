//! How the UNet of a single file was trained.

use crate::error::{Error, ErrorKind, Result};
use crate::families::{Family, Prediction, Training};
use crate::weights::Weights;

/// How a UNet was trained, as far as its sampler has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// The quantity it predicts.
    pub prediction: Prediction,
    /// Whether the file says so itself; else it is what is usual in its family.
    pub told: bool,
    /// Whether the last timestep was nothing but noise (Lin et al., arXiv 2305.08891).
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
    /// `Format` if the metadata name a prediction that nobody has.
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
