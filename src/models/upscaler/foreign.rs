//! The refusal of files that hold another network, by the name of what they look like.

use crate::error::{Error, ErrorKind};
use crate::weights::Weights;

/// Starts of names that only networks of one kind have, and the kind. The first that fits counts.
const FOREIGN: [(&str, &str); 31] = [
    ("layers.0.residual_group.blocks.0.conv_block.", "HAT"),
    ("layers.0.residual_group.blocks.0.attn.logit_scale", "Swin2SR"),
    ("layers.0.residual_group.hf_blocks.", "CRAFT"),
    ("layers.0.residual_group.td", "ATD"),
    ("layers.0.residual_group.", "SwinIR"),
    ("layers.0.swin1.", "DRCT"),
    ("layers.0.blocks.0.gamma", "RGT"),
    ("before_RG.", "DAT"),
    ("norm_start.", "GRL"),
    ("residual_layer.0.", "OmniSR"),
    ("block_1.c1_r.", "SPAN"),
    ("feats.0.safm.", "SAFMN"),
    ("feats.0.", "PLKSR"),
    ("UFONE.", "DITN"),
    ("gblocks.", "MoSR"),
    ("in_to_dim.", "MoESR"),
    ("unet1.", "Real-CUGAN"),
    ("stylegan_decoder.", "GFPGAN"),
    ("m_head.", "SCUNet"),
    ("model.1.sub.0.", "a variant of ESRGAN with other blocks"),
    ("model.diffusion_model.", "a checkpoint of a diffusion model"),
    ("control_model.", "a ControlNet"),
    ("controlnet_cond_embedding.", "a ControlNet"),
    ("down_blocks.", "a UNet"),
    ("encoder.", "an autoencoder"),
    ("decoder.", "an autoencoder"),
    ("first_stage_model.", "an autoencoder"),
    ("text_model.", "a text encoder"),
    ("lora_", "a LoRA file"),
    ("unet.", "a LoRA file"),
    ("emb_params", "an embedding (textual inversion)"),
];

/// The error for weights of another network.
pub(super) fn refuse(weights: &Weights) -> Error {
    let starts = |start: &str| weights.names().any(|name| name.starts_with(start));
    let found = match FOREIGN.iter().find(|(start, _)| starts(start)) {
        Some((_, kind)) => kind.to_string(),
        None => {
            let first = weights.names().next().unwrap_or("no weight");
            format!("a network that is not known, with {first} and others")
        }
    };
    let message = format!(
        "expected an upscaler of ESRGAN's architecture (ESRGAN, BSRGAN, Real-ESRGAN) or of \
         Real-ESRGAN's compact one, found {found}"
    );
    Error::new(ErrorKind::Unsupported, message)
}
