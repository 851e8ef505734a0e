//! Models combined from the components of several: another UNet, another prediction type.

use super::model_files::ModelFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::families::{Family, of_unet};
use crate::models::{ClassName, parse_config};
use crate::schedulers::Prediction;
use crate::weights::Weights;
use serde_json::{Map, Value};

const SCHEDULER: &str = "scheduler/scheduler_config.json";

/// The keys of a scheduler's configuration that belong to a UNet's training: the quantity it
/// predicts, and the timesteps that it was trained to begin with.
const TRAINING: [&str; 3] = ["prediction_type", "rescale_betas_zero_snr", "timestep_spacing"];

impl ModelFiles {
    /// This model with another `prediction_type` in its scheduler's configuration, for single files
    /// that do not state theirs.
    ///
    /// # Errors
    /// `NotFound` if the model has no scheduler, `Format` if its configuration is damaged.
    pub fn with_prediction(mut self, prediction: Prediction) -> Result<ModelFiles> {
        let mut config = self.object(SCHEDULER)?;
        config.insert("prediction_type".into(), prediction.name().into());
        self.put(SCHEDULER, config);
        Ok(self)
    }

    /// This model with the UNet of another, for files that hold nothing else: those of ComfyUI-GGUF
    /// and fine-tuned UNets by themselves. Text encoders, tokenizer, autoencoder and scheduler stay
    /// this model's. What the other says of the UNet's training goes with it, in a scheduler's
    /// configuration or in a single file's own metadata; where a single file says nothing, this
    /// model's prediction and size of pictures stay.
    ///
    /// # Errors
    /// `Unsupported` or `Weights` if the UNets are of different families; `NotFound`, `Format` or
    /// `Config` if a part is missing or damaged.
    pub fn with_unet_of(mut self, other: &ModelFiles) -> Result<ModelFiles> {
        // A folder may be the UNet itself.
        let component = if other.read("config.json")?.is_some() { "" } else { "unet" };
        let (weights, mut config, family) = other.unet(component)?;
        let own = self.read("unet/config.json")?.is_some();
        if own {
            let (_, base, expected) = self.unet("unet")?;
            if family != expected {
                let message = format!(
                    "{}: expected a UNet of {}, as in {}, got one of {}",
                    other.name, expected.name, self.name, family.name
                );
                return Err(Error::new(ErrorKind::Weights, message));
            }
            if let (Some(_), Some(size)) = (other.sampling, base.get("sample_size")) {
                config.insert("sample_size".into(), size.clone());
            }
        }
        let certain = other.sampling.is_none_or(|sampling| sampling.told);
        if certain && other.read(SCHEDULER)?.is_some() {
            let (mut ours, theirs) = (self.object(SCHEDULER)?, other.object(SCHEDULER)?);
            for key in TRAINING {
                match theirs.get(key) {
                    Some(value) => ours.insert(key.into(), value.clone()),
                    None => ours.remove(key),
                };
            }
            self.put(SCHEDULER, ours);
        }
        self.put("unet/config.json", config);
        self.replaced.insert("unet".into(), weights);
        self.name = format!("{} with the UNet of {}", self.name, other.name);
        self.unknown.extend_from_slice(&other.unknown);
        Ok(self)
    }

    /// The UNet of Stable Diffusion in a component's folder: weights, configuration, family.
    fn unet(&self, component: &str) -> Result<(Weights, Map<String, Value>, &'static Family)> {
        let file = if component.is_empty() { "config.json" } else { "unet/config.json" };
        let class: ClassName = parse_config(file, &self.text(file)?)?;
        if class.class_name != "UNet2DConditionModel" {
            let message = format!(
                "{}: {file}: _class_name: expected \"UNet2DConditionModel\", which can be \
                 exchanged, got {:?}",
                self.name, class.class_name
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let weights = self.weights(component)?;
        let (family, _) = of_unet(&weights).map_err(|error| error.context(&self.name))?;
        Ok((weights, self.object(file)?, family))
    }

    /// Parses a file that holds a JSON object.
    fn object(&self, path: &str) -> Result<Map<String, Value>> {
        serde_json::from_str(&self.text(path)?).map_err(|error| {
            let message = format!("{}/{path}: expected a JSON object", self.name);
            Error::new(ErrorKind::Format, message).with_source(error)
        })
    }

    /// Replaces a file by a JSON object.
    fn put(&mut self, path: &str, object: Map<String, Value>) {
        self.instead.insert(path.into(), Value::Object(object).to_string().into_bytes());
    }
}
