//! Stable Diffusion 1.1 to 1.5 (Rombach et al., arXiv 2112.10752) and its relatives with fewer
//! layers (BK-SDM, arXiv 2305.15798): CLIP-L, text embeddings of width 768, eight heads everywhere.

use super::stable_diffusion::{CLASS_NAME, CLIP_PREFIX, FOLDER, network, tokenizer};
use super::{EncoderPlan, Family, HeadRule, LatentSpace, Published, Task, TextPlan, Training};
use crate::models::clip::Reading;
use crate::models::clip_network::ClipNetwork;
use crate::tokenizer::END_OF_TEXT;

/// Stable Diffusion 1.x.
pub static FAMILY: Family = Family {
    name: "Stable Diffusion 1.x",
    folder: FOLDER,
    class_name: CLASS_NAME,
    // Any UNet with cross-attention that no other family recognises.
    recognises: |_| true,
    network,
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
    latents: LATENTS,
    steps: 30,
    guidance_scale: 7.5,
    published: Some(Published {
        scheduler: "PNDMScheduler",
        scheduler_keys: &[],
        pipeline,
        heads: HeadRule::Count(8),
        sample_size: |_| 64,
        image_size: 512,
        training: |_| Training::NOISE,
    }),
};

/// The latent space of Stable Diffusion 1 and 2.
pub(super) const LATENTS: LatentSpace = LatentSpace {
    scaling_factor: 0.18215,
    decoder_overflows_f16: false,
    preview_colours: Some(&[
        [0.3512, 0.2297, 0.3227],
        [0.3250, 0.4974, 0.2350],
        [-0.2829, 0.1762, 0.2721],
        [-0.2120, -0.2616, -0.7177],
        [0.0, 0.0, 0.0],
    ]),
};

/// diffusers' pipelines of Stable Diffusion 1 and 2.
pub(super) fn pipeline(task: Task) -> &'static str {
    match task {
        Task::TextToImage => "StableDiffusionPipeline",
        Task::Inpainting => "StableDiffusionInpaintPipeline",
        Task::Edit => "StableDiffusionInstructPix2PixPipeline",
    }
}
