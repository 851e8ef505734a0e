//! Stable Diffusion XL (Podell et al., arXiv 2307.01952), SDXL-Turbo and SSD-1B: CLIP-L and
//! OpenCLIP-bigG, text embeddings of width 2048, pooled text and picture sizes as further inputs.

use super::stable_diffusion::{CLASS_NAME, CLIP_PREFIX, FOLDER, network, tokenizer};
use super::{
    EncoderPlan, Family, HeadRule, LatentSpace, Published, Task, TextPlan, TokenizerPlan, Training,
};
use crate::models::clip::Reading;
use crate::models::clip_network::ClipNetwork;
use crate::tokenizer::{END_OF_TEXT, Tokenizer};

/// Stable Diffusion XL.
pub static FAMILY: Family = Family {
    name: "Stable Diffusion XL",
    folder: FOLDER,
    class_name: CLASS_NAME,
    recognises: |unet| unet.has_added_embedding(),
    network,
    text: TextPlan {
        encoders: &[
            EncoderPlan {
                folder: "text_encoder",
                prefix: CLIP_PREFIX,
                tokenizer: tokenizer(END_OF_TEXT),
                network: |file, config, weights| {
                    let reading = Reading { skip: 1, norm: false, projection: false };
                    ClipNetwork::open(file, config, weights, reading)
                },
                activation: "quick_gelu",
            },
            EncoderPlan {
                folder: "text_encoder_2",
                prefix: CLIP_PREFIX,
                tokenizer: TokenizerPlan {
                    folder: "tokenizer_2",
                    fallback: Some(("tokenizer", "!")),
                    padding: "!",
                    open: Tokenizer::new,
                },
                network: |file, config, weights| {
                    let reading = Reading { skip: 1, norm: false, projection: true };
                    ClipNetwork::open(file, config, weights, reading)
                },
                activation: "gelu",
            },
        ],
        zeros_for_empty: true,
    },
    latents: LatentSpace {
        scaling_factor: 0.13025,
        decoder_overflows_f16: true,
        preview_colours: Some(&[
            [0.3651, 0.4232, 0.4341],
            [-0.2533, -0.0042, 0.1068],
            [0.1076, 0.1111, -0.0362],
            [-0.3165, -0.2492, -0.2188],
            [0.1084, -0.0175, -0.0011],
        ]),
    },
    steps: 30,
    guidance_scale: 5.0,
    published: Some(Published {
        scheduler: "EulerDiscreteScheduler",
        scheduler_keys: &[("interpolation_type", "\"linear\""), ("use_karras_sigmas", "false")],
        pipeline: |task| match task {
            Task::TextToImage => "StableDiffusionXLPipeline",
            Task::Inpainting => "StableDiffusionXLInpaintPipeline",
            Task::Edit => "StableDiffusionXLInstructPix2PixPipeline",
        },
        heads: HeadRule::Size(64),
        sample_size: |_| 128,
        image_size: 1024,
        training: |_| Training::NOISE,
    }),
};
