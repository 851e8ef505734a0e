//! LoRAs on a model: added to its weights while they are uploaded, so that removing them is to
//! upload the weights as they are in the files.

use super::model::Model;
use super::session::Diffusion;
use crate::checkpoint::blocks::UnetLayout;
use crate::error::{Error, ErrorKind, Result};
use crate::lora::{Lora, Patches, sum};

impl Model {
    /// Changes the model by LoRAs, each with its weight, in place of all earlier ones; an empty
    /// list leaves the model as it is in its files, and so does an error.
    ///
    /// # Errors
    /// `Weights` if a LoRA is for another family, damaged or not finite.
    pub fn set_loras(&mut self, loras: &[(Lora, f32)]) -> Result<()> {
        let changed = self.patch(loras);
        if changed.is_err() {
            self.denoiser.set_patches(Patches::new())?;
            self.text.set_patches(Vec::new())?;
        }
        changed
    }

    fn patch(&mut self, loras: &[(Lora, f32)]) -> Result<()> {
        for (lora, weight) in loras {
            if !weight.is_finite() {
                let message =
                    format!("{}: weight: expected a finite number, got {weight}", lora.name());
                return Err(Error::new(ErrorKind::Argument, message));
            }
        }
        let patches = |component: &str, names: &[&str], ldm: &[(String, String)]| {
            let each =
                loras.iter().map(|(lora, weight)| lora.patches(component, names, ldm, *weight));
            Ok(sum(each.collect::<Result<Vec<Patches>>>()?))
        };
        let unet = {
            let names = self.denoiser.names();
            let ldm = UnetLayout::from_diffusers(names.iter().copied()).block_names();
            patches("unet", &names, &ldm)?
        };
        let mut texts = Vec::new();
        for (component, names) in self.text.names() {
            texts.push(patches(component, &names, &[])?);
        }
        for (lora, _) in loras {
            let known: Vec<&str> =
                ["unet"].into_iter().chain(self.text.names().map(|(name, _)| name)).collect();
            if let Some(other) = lora.components().into_iter().find(|name| !known.contains(name)) {
                let message = format!(
                    "{}: changes {other}, expected {}; this LoRA is for another family of models",
                    lora.name(),
                    known.join(", ")
                );
                return Err(Error::new(ErrorKind::Weights, message));
            }
        }
        self.denoiser.set_patches(unet)?;
        self.text.set_patches(texts)
    }
}

impl Diffusion {
    /// See [`Model::set_loras`]. What changed is uploaded again when it is next needed.
    ///
    /// # Errors
    /// As [`Model::set_loras`].
    pub fn set_loras(&mut self, loras: &[(Lora, f32)]) -> Result<()> {
        self.model.set_loras(loras)
    }
}
