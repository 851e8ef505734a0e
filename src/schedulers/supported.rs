//! Refuses configurations that ask a sampler for a variant that this version does not have.

use serde_json::{Value, json};

use super::keys::Keys;
use super::kind::SchedulerKind::{self, *};
use super::prediction::Prediction;
use super::settings::{SamplerSettings, Variance};
use crate::error::{Error, ErrorKind, Result};

impl SamplerSettings {
    /// An error of kind `Unsupported` if the configuration asks `kind` for a variant that this
    /// version does not have, of kind `Argument` if η is out of range.
    pub(super) fn require_supported(&self, keys: &Keys, kind: SchedulerKind) -> Result<()> {
        let off = |key: &str| keys.require(key, json!(false), json!(false));
        let is = |key: &str, word: &str| keys.require(key, json!(word), json!(word));
        // The classes of the others have no such key.
        if matches!(kind, Ddim | DdimCfgPp | Ddpm | Lcm | UfoGen | UniPc | Deis | EdmDpmSolver)
            || is_dpm_solver(kind)
        {
            off("thresholding")?;
        }
        let by_image = !matches!(
            kind,
            EulerAncestral | DpmSolverSde | Pndm | Dpm2 | Dpm2Ancestral | EdmEuler | EdmDpmSolver
        );
        if !by_image && self.prediction == Prediction::Sample {
            is("prediction_type", "epsilon")?;
        }
        match kind {
            Ddim | DdimCfgPp | Tcd if !(0.0..=1.0).contains(&self.eta) => {
                let message =
                    format!("{kind}: eta: expected a number from 0 to 1, got {}", self.eta);
                return Err(Error::new(ErrorKind::Argument, message));
            }
            Ddpm if self.variance == Variance::Other => is("variance_type", "fixed_small")?,
            Euler | EulerCfgPp => {
                is("interpolation_type", "linear")?;
                if self.prediction == Prediction::Velocity {
                    is("timestep_type", "discrete")?;
                }
            }
            EdmDpmSolver if self.stochastic && self.solver_order == 3 => {
                // diffusers forgets the noise.
                keys.require("solver_order", json!(2), json!(2))?;
            }
            Deis => off("use_flow_sigmas")?,
            _ if is_dpm_solver(kind) => {
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
            }
            UniPc => {
                off("use_flow_sigmas")?;
                keys.require("predict_x0", json!(true), json!(true))?;
                keys.require("disable_corrector", json!([]), json!([]))?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a kind is of diffusers' multistep or singlestep class of DPM-Solver.
fn is_dpm_solver(kind: SchedulerKind) -> bool {
    [DpmSolver2M, DpmSolver2S].iter().any(|other| other.class_name() == kind.class_name())
}
