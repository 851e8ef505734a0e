//! The quantity that a denoiser predicts (`prediction_type`).

use crate::error::{Error, ErrorKind, Result};
use std::str::FromStr;

/// The quantity that a denoiser predicts: `prediction_type` of a scheduler's configuration, where a
/// sample is x = α·x₀ + σ·ε.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The noise ε (Ho et al., arXiv 2006.11239).
    Epsilon,
    /// The velocity v = α·ε − σ·x₀ (Salimans and Ho, arXiv 2202.00512, appendix D).
    Velocity,
    /// The picture x₀.
    Sample,
}

impl Prediction {
    /// All predictions.
    pub(super) const ALL: [Prediction; 3] =
        [Prediction::Epsilon, Prediction::Velocity, Prediction::Sample];

    /// Its name in diffusers.
    pub fn name(self) -> &'static str {
        match self {
            Prediction::Epsilon => "epsilon",
            Prediction::Velocity => "v_prediction",
            Prediction::Sample => "sample",
        }
    }

    /// x₀ as `[coefficient of the sample x, coefficient of the output m]`.
    pub(super) fn original(self, alpha: f32, sigma: f32) -> [f32; 2] {
        match self {
            Prediction::Epsilon => [1.0 / alpha, -sigma / alpha],
            Prediction::Velocity => [alpha, -sigma],
            Prediction::Sample => [0.0, 1.0],
        }
    }

    /// ε as `[coefficient of the sample x, coefficient of the output m]`.
    pub(super) fn epsilon(self, alpha: f32, sigma: f32) -> [f32; 2] {
        match self {
            Prediction::Epsilon => [0.0, 1.0],
            Prediction::Velocity => [sigma, alpha],
            Prediction::Sample => [1.0 / sigma, -alpha / sigma],
        }
    }
}

impl FromStr for Prediction {
    type Err = Error;

    /// Parses diffusers' names and those of other programs, such as `v`, `vpred` and `eps`.
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
