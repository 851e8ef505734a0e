//! What a model predicts, and at which noise it was trained.

use super::family::Family;
use crate::error::{Error, ErrorKind, Result};
use crate::weights::Weights;
use std::str::FromStr;

/// What a UNet predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The noise ε (Ho et al., arXiv 2006.11239).
    Epsilon,
    /// The velocity v = √ᾱ·ε − √(1−ᾱ)·x₀ (Salimans and Ho, arXiv 2202.00512).
    Velocity,
    /// The picture x₀.
    Sample,
}

/// What the sampler has to know of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// What the UNet predicts.
    pub prediction: Prediction,
    /// Whether the file says so itself; else it is what is usual in its family.
    pub told: bool,
    /// Whether the last timestep was nothing but noise (Lin et al., arXiv 2305.08891).
    pub zero_snr: bool,
    /// Whether it is SD-Turbo, which was distilled to a few steps.
    pub turbo: bool,
}

impl Sampling {
    /// What a file says of itself, else what is usual in its family. Weights do not show it:
    /// metadata come first, then the marks that trainers leave as tensors `v_pred` and `ztsnr`,
    /// then for 2.x the number of training steps, by which diffusers knows 2-base. What is left of
    /// 2.x predicts velocities.
    ///
    /// # Errors
    /// `Format` if the metadata name a prediction that nobody has.
    pub fn of(family: Family, weights: &Weights) -> Result<Sampling> {
        let metadata = weights.metadata();
        let marked = |mark: &str| weights.shape(mark).is_some();
        // Of 2.x, Stability's later code (generative-models) wrote SD-Turbo only.
        let sgm = weights.names().any(|name| name.starts_with("conditioner.embedders.0.model."));
        let turbo = family == Family::Sd2 && sgm;
        let keys = ["modelspec.prediction_type", "modelspec.predict_key", "prediction_type"];
        let told = keys.iter().find_map(|key| metadata.get(*key));
        let base = metadata.get("global_step").is_some_and(|steps| steps == "875000");
        let said = told.is_some() || marked("v_pred");
        let prediction = match told {
            Some(word) => word.parse().map_err(|error: Error| {
                Error::new(ErrorKind::Format, format!("metadata: {error}"))
            })?,
            None if marked("v_pred") => Prediction::Velocity,
            None if family == Family::Sd2 && !base && !turbo => Prediction::Velocity,
            None => Prediction::Epsilon,
        };
        Ok(Sampling { prediction, told: said, zero_snr: marked("ztsnr"), turbo })
    }
}

impl Prediction {
    /// diffusers' word for it.
    pub fn name(self) -> &'static str {
        match self {
            Prediction::Epsilon => "epsilon",
            Prediction::Velocity => "v_prediction",
            Prediction::Sample => "sample",
        }
    }
}

impl FromStr for Prediction {
    type Err = Error;

    /// diffusers' words, and those of other programs.
    fn from_str(word: &str) -> Result<Prediction> {
        Ok(match word.to_ascii_lowercase().as_str() {
            "epsilon" | "eps" => Prediction::Epsilon,
            "v_prediction" | "v" | "vpred" | "v_pred" | "velocity" => Prediction::Velocity,
            "sample" | "x0" => Prediction::Sample,
            _ => {
                let message = format!(
                    "prediction type: expected epsilon, v_prediction or sample, got {word:?}"
                );
                return Err(Error::new(ErrorKind::Argument, message));
            }
        })
    }
}
