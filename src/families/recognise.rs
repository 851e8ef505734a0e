//! Recognition of a model's family from the names and shapes of its denoiser's weights.

use super::evidence::Evidence;
use super::family::Family;
use super::stable_diffusion::CLASS_NAME;
use super::task::Task;
use super::{mobile, sd1, sd2, sdxl};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::WeightIndex;
use crate::weights::Weights;
use std::collections::BTreeSet;

/// All families. A model belongs to the first one that recognises its denoiser.
static ALL: [&Family; 4] = [&sdxl::FAMILY, &sd2::FAMILY, &sd1::FAMILY, &mobile::FAMILY];

/// Starts of tensor names that only unsupported kinds of files have, and the kind. Names of the
/// denoiser are given without `model.diffusion_model.`.
const FOREIGN: [(&str, &str); 29] = [
    ("txt_in.individual_token_refiner.", "HunyuanVideo"),
    ("double_stream_modulation_img.", "FLUX.2"),
    ("distilled_guidance_layer.", "Chroma"),
    ("double_blocks.", "FLUX"),
    ("joint_blocks.", "Stable Diffusion 3"),
    ("clip_txt_mapper.", "Stable Cascade"),
    ("down_blocks.0.0.channelwise.", "Stable Cascade"),
    ("down_blocks.1.0.channelwise.", "Stable Cascade"),
    ("double_layers.", "AuraFlow"),
    ("cap_embedder.", "Lumina"),
    ("patchify_proj.", "LTX-Video"),
    ("head.modulation", "Wan"),
    ("double_stream_blocks.", "HiDream"),
    ("net.x_embedder.", "Cosmos"),
    ("adaln_single.", "PixArt"),
    ("transformer_blocks.", "a diffusion transformer"),
    ("x_embedder.", "a diffusion transformer"),
    ("text_encoders.t5xxl.", "a model with T5 as its text encoder"),
    ("edm_mean", "Playground v2.5"),
    ("input_blocks.1.0.time_stack.", "Stable Video Diffusion"),
    ("down_blocks.0.motion_modules.", "a motion module (AnimateDiff)"),
    ("lora_controlnet", "a Control-LoRA"),
    ("difference", "a ControlNet that holds differences from a UNet"),
    ("label_emb.weight", "Stable Diffusion's upscaler"),
    ("lora_unet_", "a LoRA file"),
    ("lora_te", "a LoRA file"),
    ("unet.down_blocks.", "a LoRA file"),
    ("emb_params", "an embedding (textual inversion)"),
    ("clip_g", "an embedding (textual inversion)"),
];

/// XL's refiner, which is read as a diffusers folder.
const SINGLE_REFINER: &str =
    "Stable Diffusion XL's refiner as a single file, in place of its diffusers folder";

/// The folders of denoisers in diffusers' layout.
pub fn denoiser_folders() -> BTreeSet<&'static str> {
    ALL.iter().map(|family| family.folder).collect()
}

/// The family of a denoiser of a class, under diffusers' names. `file` names its configuration in
/// messages.
///
/// # Errors
/// `Unsupported` if no family has the class.
pub fn recognise(
    file: &str,
    class_name: &str,
    weights: &dyn WeightIndex,
) -> Result<&'static Family> {
    let evidence = Evidence(weights);
    let found = ALL.iter().find(|f| f.class_name == class_name && (f.recognises)(&evidence));
    found.copied().ok_or_else(|| {
        let mut classes: Vec<_> = ALL.iter().map(|f| format!("{:?}", f.class_name)).collect();
        classes.dedup();
        let expected = classes.join(" or ");
        let message = format!("{file}: _class_name: expected {expected}, got {class_name:?}");
        Error::new(ErrorKind::Unsupported, message)
    })
}

/// The family and the task of a UNet of Stable Diffusion, under diffusers' names.
///
/// # Errors
/// `Unsupported` for related models, such as XL's refiner in a single file; `Weights` if the UNet has no
/// cross-attention to a text.
pub fn of_unet(unet: &Weights) -> Result<(&'static Family, Task)> {
    let missing = |what: &str| {
        let message = format!("unet: expected {what}, found none; the file is incomplete");
        Error::new(ErrorKind::Weights, message)
    };
    let evidence = Evidence(unet);
    let context = evidence.text_width().ok_or_else(|| missing("cross-attention to a text"))?;
    let channels = unet.shape("conv_in.weight").and_then(|shape| shape.get(1));
    let channels = *channels.ok_or_else(|| missing("conv_in.weight"))?;
    match (evidence.has_added_embedding(), context) {
        (true, 1024) => return Err(unsupported("Stable unCLIP")),
        (true, 1280) => return Err(unsupported(SINGLE_REFINER)),
        _ => {}
    }
    let family = recognise("unet", CLASS_NAME, unet)?;
    let task = match channels {
        4 => Task::TextToImage,
        8 => Task::Edit,
        9 => Task::Inpainting,
        5 => return Err(unsupported("Stable Diffusion 2 with depth as an input")),
        7 => return Err(unsupported("Stable Diffusion's upscaler")),
        other => {
            let message = format!(
                "unet: conv_in.weight: expected 4 input channels, 9 for inpainting or 8 for \
                 edits, found {other}"
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    };
    Ok((family, task))
}

/// Refuses a file of another kind, if its tensor names show which.
///
/// # Errors
/// `Unsupported`, naming the kind.
pub fn refuse_foreign(weights: &Weights) -> Result<()> {
    let starts = |start: &str| {
        weights.names().any(|name| {
            let inside = name.strip_prefix("model.diffusion_model.").unwrap_or(name);
            name.starts_with(start) || inside.starts_with(start)
        })
    };
    match FOREIGN.iter().find(|(start, _)| starts(start)) {
        Some((_, found)) => Err(unsupported(found)),
        None => Ok(()),
    }
}

fn unsupported(found: &str) -> Error {
    let message = format!(
        "expected a checkpoint of Stable Diffusion 1.x, 2.x or XL, found {found}, which croquis \
         cannot run"
    );
    Error::new(ErrorKind::Unsupported, message)
}
