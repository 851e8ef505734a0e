//! Stable Diffusion 2.0 to 2.1 and SD-Turbo (Sauer et al., arXiv 2311.17042): OpenCLIP-H, text
//! embeddings of width 1024, heads of size 64.

use super::evidence::Evidence;
use super::sd1::{LATENTS, pipeline};
use super::stable_diffusion::{
    CLASS_NAME, CLIP_PREFIX, FOLDER, has_linear_projections, network, tokenizer,
};
use super::{EncoderPlan, Family, HeadRule, Published, TextPlan, Training};
use crate::models::clip::Reading;
use crate::models::clip_network::ClipNetwork;
use crate::schedulers::Prediction;
use crate::weights::Weights;

/// Stable Diffusion 2.x.
pub static FAMILY: Family = Family {
    name: "Stable Diffusion 2.x",
    folder: FOLDER,
    class_name: CLASS_NAME,
    recognises,
    network,
    text: TextPlan {
        encoders: &[EncoderPlan {
            folder: "text_encoder",
            prefix: CLIP_PREFIX,
            tokenizer: tokenizer("!"),
            network: |file, config, weights| {
                let reading = Reading { skip: 0, norm: true, projection: false };
                ClipNetwork::open(file, config, weights, reading)
            },
            activation: "gelu",
        }],
        zeros_for_empty: false,
    },
    latents: LATENTS,
    steps: 30,
    guidance_scale: 7.5,
    published: Some(Published {
        scheduler: "DDIMScheduler",
        scheduler_keys: &[],
        pipeline,
        heads: HeadRule::Size(64),
        sample_size: |prediction| if prediction == Prediction::Velocity { 96 } else { 64 },
        image_size: 512,
        training,
    }),
};

/// Text embeddings of width 1024; of smaller models only those of 2.x project by matrices.
fn recognises(unet: &Evidence<'_>) -> bool {
    match unet.text_width() {
        Some(1024) => true,
        Some(768) => false,
        _ => has_linear_projections(unet),
    }
}

/// 2.x predicts velocities, but for 2-base, which diffusers knows by its number of training steps,
/// and SD-Turbo, the only one in the layout of Stability's later code (generative-models).
fn training(weights: &Weights) -> Training {
    let turbo = weights.names().any(|name| name.starts_with("conditioner.embedders.0.model."));
    let base = weights.metadata().get("global_step").is_some_and(|steps| steps == "875000");
    match turbo || base {
        true => Training { turbo, ..Training::NOISE },
        false => Training { prediction: Prediction::Velocity, turbo },
    }
}
