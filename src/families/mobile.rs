//! MobileDiffusion (Zhao et al., arXiv 2311.16567); emoji-64 is a small model of this family. Its weights
//! and exact widths are not public: folders name the class `MobileDiffusionUNet`, which is
//! croquis' own.

use super::stable_diffusion::{CLIP_PREFIX, FOLDER, tokenizer};
use super::{EncoderPlan, Family, LatentSpace, TextPlan};
use crate::models::clip::Reading;
use crate::models::clip_network::ClipNetwork;
use crate::models::mobile::MobileConfig;
use crate::models::{parse_config, unet_network::UnetNetwork};
use crate::tokenizer::END_OF_TEXT;

/// MobileDiffusion.
pub static FAMILY: Family = Family {
    name: "MobileDiffusion",
    folder: FOLDER,
    class_name: "MobileDiffusionUNet",
    recognises: |_| true,
    network: |file, config| {
        let config: MobileConfig = parse_config(file, config)?;
        Ok(Box::new(UnetNetwork::mobile(&config)?))
    },
    text: TextPlan {
        encoders: &[EncoderPlan {
            folder: "text_encoder",
            prefix: CLIP_PREFIX,
            tokenizer: tokenizer(END_OF_TEXT),
            network: |file, config, weights| {
                let reading = Reading { skip: 0, norm: true, projection: false };
                ClipNetwork::open(file, config, weights, reading)
            },
            activation: "quick_gelu",
        }],
        zeros_for_empty: false,
    },
    latents: LatentSpace {
        scaling_factor: 0.18215,
        decoder_overflows_f16: false,
        preview_colours: None,
    },
    steps: 20,
    guidance_scale: 5.0,
    published: None,
};
