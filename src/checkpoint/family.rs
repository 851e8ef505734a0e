//! Which model it is: seen from names and shapes, never asked for.

use crate::error::{Error, ErrorKind, Result};
use crate::weights::Weights;

/// A kind of Stable Diffusion. Everything else about a model is seen from its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 1.1 to 1.5, with CLIP-L: text embeddings of width 768, eight heads everywhere.
    Sd1,
    /// 2.0 to 2.1 and SD-Turbo, with OpenCLIP-H: width 1024, heads of size 64.
    Sd2,
    /// XL, with CLIP-L and OpenCLIP-bigG: width 2048, size and crop as further inputs.
    Sdxl,
}

/// What a UNet was trained to do, which shows in the channels of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Latents only, 4 channels.
    TextToImage,
    /// Latents, a mask and the masked picture's latents, 9 channels.
    Inpainting,
    /// Latents and those of a picture to change (InstructPix2Pix), 8 channels.
    Edit,
}

/// Names that only another kind of file has; the denoiser's without their prefix.
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

impl Family {
    /// The family of a UNet under diffusers' names.
    ///
    /// # Errors
    /// `Unsupported` for relatives that work otherwise, such as XL's refiner: "expected …, found
    /// …". `Weights` if it is no UNet that reads texts.
    pub fn of_unet(unet: &Weights) -> Result<(Family, Task)> {
        let dimension = |name: &str, axis| unet.shape(name).and_then(|shape| shape.get(axis));
        let missing = |what: &str| {
            let message = format!("unet: expected {what}, found none; the file is incomplete");
            Error::new(ErrorKind::Weights, message)
        };
        let context = text_width(unet).ok_or_else(|| missing("cross-attention to a text"))?;
        let channels = *dimension("conv_in.weight", 1).ok_or_else(|| missing("conv_in.weight"))?;
        let projection = unet.names().find(|name| name.ends_with(".proj_in.weight"));
        let linear = projection.and_then(|name| unet.shape(name)).is_some_and(|s| s.len() == 2);
        let family = match (unet.shape("add_embedding.linear_1.weight").is_some(), context) {
            (true, 1024) => return Err(unsupported("Stable unCLIP")),
            (true, 1280) => return Err(unsupported("Stable Diffusion XL's refiner")),
            (true, _) => Family::Sdxl,
            (false, 768) => Family::Sd1,
            (false, 1024) => Family::Sd2,
            // Smaller models of either kind: only 2.x projects by matrices.
            (false, _) if linear => Family::Sd2,
            (false, _) => Family::Sd1,
        };
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

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Family::Sd1 => "Stable Diffusion 1.x",
            Family::Sd2 => "Stable Diffusion 2.x",
            Family::Sdxl => "Stable Diffusion XL",
        }
    }
}

impl Task {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Task::TextToImage => "text to image",
            Task::Inpainting => "inpainting",
            Task::Edit => "edits by instruction",
        }
    }
}

/// The width of the text embeddings that a UNet reads.
pub(super) fn text_width(unet: &Weights) -> Option<usize> {
    let name = unet.names().find(|name| name.ends_with(".attn2.to_k.weight"))?;
    unet.shape(name)?.get(1).copied()
}

/// The error for a file of another kind, if its names show which.
pub(super) fn refuse_foreign(weights: &Weights) -> Result<()> {
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
