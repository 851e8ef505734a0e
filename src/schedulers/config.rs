//! [`SchedulerConfig`]: a model's `scheduler_config.json`.

use serde_json::Value;

use super::keys::{Keys, key_error};
use super::kind::SchedulerKind;
use super::settings::SamplerSettings;
use super::spacing::Spacing;
use crate::error::{Error, ErrorKind, Result};

/// A model's scheduler configuration: the text of its `scheduler_config.json`, checked.
///
/// Keys that a sampler does not know are ignored, and keys that are missing take the default of
/// *that sampler's* class in diffusers, so that a model's configuration serves any sampler, as
/// with diffusers' `from_config`.
///
/// ```
/// use croquis::internal::schedulers::{SchedulerConfig, SchedulerKind};
///
/// let config = SchedulerConfig::from_json(
///     r#"{"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear",
///         "beta_start": 0.00085, "beta_end": 0.012, "timestep_spacing": "trailing"}"#,
/// )?;
/// assert_eq!(config.schedule(4)?.steps[1].timestep, 749.0);
/// assert_eq!(config.schedule_from(SchedulerKind::DpmSolver2M, 20)?.steps.len(), 20);
/// # Ok::<(), croquis::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    keys: Keys,
    /// The spacing set by [`with_spacing`](SchedulerConfig::with_spacing).
    spacing: Option<Spacing>,
    /// Strength of the random part: DDIM's η (arXiv:2010.02502, equation 16) from 0 (no noise, the
    /// default) to 1 (as much as DDPM), or TCD's γ (default 0.3). Not a key of the file; other
    /// samplers ignore it.
    pub eta: Option<f32>,
}

impl SchedulerConfig {
    /// Parses the text of a `scheduler_config.json`.
    ///
    /// An error of kind `Format` if it is not a JSON object; of kind `Config` if a value is
    /// impossible: it names the key, what was expected and what was found.
    pub fn from_json(text: &str) -> Result<SchedulerConfig> {
        let config = SchedulerConfig { keys: Keys::from_json(text)?, spacing: None, eta: None };
        SamplerSettings::read(&config.keys, config.kind().unwrap_or(SchedulerKind::Ddim), None)?;
        Ok(config)
    }

    /// The sampler of the file's `_class_name`.
    ///
    /// An error of kind `Config` if the key is missing, and of kind `Unsupported` if this version
    /// does not have that sampler.
    pub fn kind(&self) -> Result<SchedulerKind> {
        let key = "_class_name";
        let Some(name) = self.keys.get(key, "the name of a scheduler", Value::as_str)? else {
            return Err(key_error(ErrorKind::Config, key, "the name of a scheduler", "nothing"));
        };
        let algorithm = self.keys.get("algorithm_type", "a word", Value::as_str)?;
        let stochastic = algorithm == Some("sde-dpmsolver++");
        let third_order = self.keys.count("solver_order", 2, 1, 3)? == 3;
        // These two keys distinguish the kinds that share a class.
        let named = |kind: &SchedulerKind| {
            kind.class_name() == name
                && match kind {
                    SchedulerKind::DpmSolver2M => !stochastic && !third_order,
                    SchedulerKind::DpmSolver2MKarras => false,
                    SchedulerKind::DpmSolver2MSde => !third_order,
                    SchedulerKind::DpmSolver2S => !third_order,
                    SchedulerKind::DpmSolver3M => !stochastic,
                    _ => true,
                }
        };
        SchedulerKind::ALL.into_iter().find(named).ok_or_else(|| {
            let mut names = SchedulerKind::ALL.map(SchedulerKind::class_name);
            names.sort_unstable();
            let mut names = names.to_vec();
            names.dedup();
            let expected = format!("one of {}", names.join(", "));
            key_error(ErrorKind::Unsupported, key, &expected, name)
        })
    }

    /// Whether the configuration is that of a Turbo model, distilled for one to four steps from
    /// pure noise (Sauer et al., arXiv 2311.17042): noise prediction and trailing timesteps.
    pub(crate) fn is_turbo(&self) -> bool {
        let word = |key: &str| self.keys.get(key, "a word", Value::as_str).ok().flatten();
        word("timestep_spacing") == Some("trailing")
            && word("prediction_type").is_none_or(|word| word == "epsilon")
            && !self.keys.flag("rescale_betas_zero_snr", false).unwrap_or(false)
    }

    /// A copy with another spacing than the file's: diffusers' `timestep_spacing`,
    /// `use_karras_sigmas`, `use_exponential_sigmas`, `use_beta_sigmas` and `use_lu_lambdas`. All but
    /// the first keep the file's `timestep_spacing`, from which samplers over noise levels, such as
    /// Euler, take the first and last of them. For EDM's samplers it is the key `sigma_schedule`.
    ///
    /// Planning then fails with an error of kind `Argument` for a sampler that does not support the
    /// spacing ([`SchedulerKind::spacings`]).
    pub fn with_spacing(&self, spacing: Spacing) -> SchedulerConfig {
        let mut config = SchedulerConfig { spacing: Some(spacing), ..self.clone() };
        for key in ["karras_sigmas", "exponential_sigmas", "beta_sigmas", "lu_lambdas"] {
            config.keys.set(&format!("use_{key}"), Value::Bool(false));
        }
        match spacing {
            Spacing::Leading => config.keys.set("timestep_spacing", "leading".into()),
            Spacing::Linspace => config.keys.set("timestep_spacing", "linspace".into()),
            Spacing::Trailing => config.keys.set("timestep_spacing", "trailing".into()),
            Spacing::Karras => config.keys.set("use_karras_sigmas", true.into()),
            Spacing::Exponential => config.keys.set("use_exponential_sigmas", true.into()),
            Spacing::Beta => config.keys.set("use_beta_sigmas", true.into()),
            Spacing::Lu => config.keys.set("use_lu_lambdas", true.into()),
        }
        if matches!(spacing, Spacing::Karras | Spacing::Exponential) {
            config.keys.set("sigma_schedule", spacing.name().into());
        }
        config
    }

    /// A copy with another `prediction_type` than the file's: `epsilon` (noise), `v_prediction`
    /// (velocity) or `sample` (image). An error of kind `Argument` for another word.
    pub fn with_prediction(&self, prediction: &str) -> Result<SchedulerConfig> {
        let names = ["epsilon", "v_prediction", "sample"];
        if !names.contains(&prediction) {
            let expected = names.join(", ");
            let message = format!("prediction: expected one of {expected}, got {prediction:?}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let mut config = self.clone();
        config.keys.set("prediction_type", prediction.into());
        Ok(config)
    }

    /// The settings of the sampler `kind`; an error if it does not support them.
    pub(super) fn settings(&self, kind: SchedulerKind) -> Result<SamplerSettings> {
        if let Some(spacing) = self.spacing.filter(|spacing| !kind.spacings().contains(spacing)) {
            let names: Vec<&str> = kind.spacings().iter().map(|spacing| spacing.name()).collect();
            let expected = match names.is_empty() {
                true => "none, since its distillation fixes one".to_owned(),
                false => format!("one of {}", names.join(", ")),
            };
            let message = format!("{kind}: spacing: expected {expected}, got {spacing}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let settings = SamplerSettings::read(&self.keys, kind, self.eta)?;
        settings.require_supported(&self.keys, kind)?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests;
