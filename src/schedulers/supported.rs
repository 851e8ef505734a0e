//! Refuses configurations that ask a sampler for a variant that this version does not have.

use serde_json::{Value, json};

use super::keys::Keys;
use super::kind::SchedulerKind::{self, *};
use super::prediction::Prediction;
use super::settings::{SamplerSettings, Variance};
use super::spacing::Spacing;
use crate::error::{Error, ErrorKind, Result};

impl SamplerSettings {
    /// An error of kind `Unsupported` if the configuration asks `kind` for a variant that this
    /// version does not have, of kind `Argument` if η is out of range.
    pub(super) fn require_supported(&self, keys: &Keys, kind: SchedulerKind) -> Result<()> {
        let off = |key: &str| keys.require(key, json!(false), json!(false));
        let is = |key: &str, word: &str| keys.require(key, json!(word), json!(word));
        if !matches!(kind, Euler | EulerAncestral | Heun | DpmSolverSde | Tcd | Pndm) {
            off("thresholding")?;
        }
        if matches!(kind, EulerAncestral | DpmSolverSde | Pndm)
            && self.prediction == Prediction::Sample
        {
            is("prediction_type", "epsilon")?;
        }
        if kind.spacings().contains(&Spacing::Karras) {
            off("use_beta_sigmas")?;
        }
        match kind {
            Ddim | Tcd if !(0.0..=1.0).contains(&self.eta) => {
                let message =
                    format!("{kind}: eta: expected a number from 0 to 1, got {}", self.eta);
                return Err(Error::new(ErrorKind::Argument, message));
            }
            Ddpm if self.variance == Variance::Other => is("variance_type", "fixed_small")?,
            Euler => {
                is("interpolation_type", "linear")?;
                if self.prediction == Prediction::Velocity {
                    is("timestep_type", "discrete")?;
                }
            }
            DpmSolver2M | DpmSolver2MKarras | DpmSolver2MSde => {
                off("use_lu_lambdas")?;
                off("use_flow_sigmas")?;
                if self.variance == Variance::Other {
                    is("variance_type", "fixed_small")?;
                }
                // The kind chooses between the two algorithms. diffusers replaces `deis` in another
                // solver's file by DPM-Solver++.
                let algorithm = keys.get("algorithm_type", "a word", Value::as_str)?;
                if !matches!(algorithm, Some("deis" | "sde-dpmsolver++")) {
                    is("algorithm_type", "dpmsolver++")?;
                }
                if self.solver_order == 3 {
                    keys.require("solver_order", json!(2), json!(2))?;
                }
            }
            UniPc => {
                off("use_flow_sigmas")?;
                keys.require("predict_x0", json!(true), json!(true))?;
                keys.require("disable_corrector", json!([]), json!([]))?;
            }
            // Without this key diffusers would begin with Runge–Kutta steps; here a configuration
            // without it gets PLMS, which every Stable Diffusion configuration asks for.
            Pndm => keys.require("skip_prk_steps", json!(true), json!(true))?,
            _ => {}
        }
        Ok(())
    }
}
