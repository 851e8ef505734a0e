//! The quantity that a denoiser predicts.

use crate::error::{Error, ErrorKind, Result};
use std::str::FromStr;

/// The quantity that a denoiser predicts: `prediction_type` of a scheduler's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The noise ε (Ho et al., arXiv 2006.11239).
    Epsilon,
    /// The velocity v = √ᾱ·ε − √(1−ᾱ)·x₀ (Salimans and Ho, arXiv 2202.00512).
    Velocity,
    /// The picture x₀.
    Sample,
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
