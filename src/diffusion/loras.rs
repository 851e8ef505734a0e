//! LoRAs on a model: added to its weights while they are uploaded, so that removing them is to
//! upload the weights as they are in the files.

use crate::components::{Denoiser, TextEncoder};
use crate::error::{Error, ErrorKind, Result};
use crate::files::checkpoint::UnetLayout;
use crate::lora::{Lora, Patches, sum};

/// The patches of LoRAs, each with its weight: those of the denoiser, and those of every text
/// encoder.
///
/// # Errors
/// `Weights` if a LoRA is for another family, damaged or not finite; `Argument` for a weight that
/// is not finite.
pub(super) fn patches(
    denoiser: &Denoiser,
    text: &TextEncoder,
    loras: &[(Lora, f32)],
) -> Result<(Patches, Vec<Patches>)> {
    for (lora, weight) in loras {
        let weights = [*weight, lora.weight_of("text_encoder", *weight)];
        if let Some(weight) = weights.into_iter().find(|weight| !weight.is_finite()) {
            let message =
                format!("{}: weight: expected a finite number, got {weight}", lora.name());
            return Err(Error::new(ErrorKind::Argument, message));
        }
    }
    let patches = |component: &str, names: &[&str], ldm: &[(String, String)]| {
        let each = loras.iter().map(|(lora, weight)| lora.patches(component, names, ldm, *weight));
        Ok(sum(each.collect::<Result<Vec<Patches>>>()?))
    };
    let unet = {
        let names = denoiser.names();
        let ldm = UnetLayout::from_diffusers(names.iter().copied()).block_names();
        patches(denoiser.folder(), &names, &ldm)?
    };
    let mut texts = Vec::new();
    for (component, names) in text.names() {
        texts.push(patches(component, &names, &[])?);
    }
    for (lora, _) in loras {
        let known: Vec<&str> =
            [denoiser.folder()].into_iter().chain(text.names().map(|(name, _)| name)).collect();
        if let Some(other) = lora.components().into_iter().find(|name| !known.contains(name)) {
            let message = format!(
                "{}: changes {other}, expected {}; this LoRA is for another family of models",
                lora.name(),
                known.join(", ")
            );
            return Err(Error::new(ErrorKind::Weights, message));
        }
    }
    Ok((unet, texts))
}
