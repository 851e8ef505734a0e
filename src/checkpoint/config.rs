//! The configurations that a single file lacks, in the words of diffusers and transformers; those
//! of the UNet are in [`unet_config`](super::unet_config).
//!
//! Sizes are the weights'. What weights do not show is a line per family, from the configurations
//! that were published with the models.

use super::family::{Family, Task};
use super::sampling::Sampling;
use crate::error::{Error, ErrorKind, Result};
use crate::weights::Weights;
use serde_json::{Value, json};

/// Size of an attention head of CLIP, of Stable Diffusion 2's UNet and of XL's.
pub(super) const HEAD: usize = 64;
/// Groups of every group norm in LDM (`GroupNorm32` and `Normalize`).
pub(super) const GROUPS: usize = 32;

/// Sizes of some weights.
pub(super) struct Sizes<'w> {
    pub component: &'static str,
    pub weights: &'w Weights,
}

impl Sizes<'_> {
    /// A dimension of a tensor that must be there.
    pub fn get(&self, name: &str, axis: usize) -> Result<usize> {
        let size = self.weights.shape(name).and_then(|shape| shape.get(axis).copied());
        size.filter(|size| *size > 0).ok_or_else(|| {
            let message = format!(
                "{}: expected a tensor {name} of {} dimensions or more, found {:?}; the file is \
                 incomplete",
                self.component,
                axis + 1,
                self.weights.shape(name).unwrap_or_default()
            );
            Error::new(ErrorKind::Weights, message)
        })
    }

    /// How many tensors of a pattern there are from 0 on.
    pub fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..).take_while(|index| self.weights.shape(&name(*index)).is_some()).count()
    }
}

/// `vae/config.json`. Without a family the keys are missing in which the families differ: their
/// autoencoders have the same weights.
pub(super) fn vae(weights: &Weights, family: Option<Family>) -> Result<Value> {
    let sizes = Sizes { component: "vae", weights };
    let levels = sizes.count(|level| format!("decoder.up_blocks.{level}.resnets.0.conv1.weight"));
    let width = |level| sizes.get(&format!("decoder.up_blocks.{level}.resnets.0.conv1.weight"), 0);
    let widths = (0..levels).rev().map(width).collect::<Result<Vec<_>>>()?;
    let layers = sizes.count(|layer| format!("decoder.up_blocks.0.resnets.{layer}.conv1.weight"));
    let mut config = json!({
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": widths,
        "down_block_types": vec!["DownEncoderBlock2D"; levels],
        "in_channels": 3,
        "latent_channels": sizes.get("decoder.conv_in.weight", 1)?,
        "layers_per_block": layers.saturating_sub(1),
        "norm_num_groups": GROUPS,
        "out_channels": sizes.get("decoder.conv_out.weight", 0)?,
        "up_block_types": vec!["UpDecoderBlock2D"; levels],
        "use_post_quant_conv": weights.shape("post_quant_conv.weight").is_some(),
        "use_quant_conv": weights.shape("quant_conv.weight").is_some(),
    });
    if let Some(family) = family {
        let xl = family == Family::Sdxl;
        config["force_upcast"] = json!(xl);
        config["sample_size"] = json!(if xl { 1024 } else { 512 });
        config["scaling_factor"] = json!(if xl { 0.13025 } else { 0.18215 });
    }
    Ok(config)
}

/// `text_encoder/config.json` or `text_encoder_2/config.json`.
pub(super) fn text_encoder(
    component: &'static str,
    weights: &Weights,
    family: Option<Family>,
) -> Result<Value> {
    let sizes = Sizes { component, weights };
    let width = sizes.get("embeddings.token_embedding.weight", 1)?;
    // OpenCLIP's encoders, H and bigG, against OpenAI's CLIP-L.
    let second = component == "text_encoder_2";
    let open = second || family == Some(Family::Sd2) || (family.is_none() && width == 1024);
    let projection = pooled_width(weights).unwrap_or(width);
    Ok(json!({
        "architectures": [if second { "CLIPTextModelWithProjection" } else { "CLIPTextModel" }],
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": if open { "gelu" } else { "quick_gelu" },
        "hidden_size": width,
        "intermediate_size": sizes.get("encoder.layers.0.mlp.fc1.weight", 0)?,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": sizes.get("embeddings.position_embedding.weight", 0)?,
        "model_type": "clip_text_model",
        "num_attention_heads": (width / HEAD).max(1),
        "num_hidden_layers":
            sizes.count(|layer| format!("encoder.layers.{layer}.layer_norm1.weight")),
        "pad_token_id": 1,
        "projection_dim": projection,
        "vocab_size": sizes.get("embeddings.token_embedding.weight", 0)?,
    }))
}

/// The width of a text encoder's pooled embedding, if it has one.
pub(super) fn pooled_width(weights: &Weights) -> Option<usize> {
    weights.shape("text_projection.weight")?.first().copied()
}

/// `scheduler/scheduler_config.json`: as it was published with the family's first model.
pub(super) fn scheduler(family: Family, sampling: Sampling) -> Value {
    let Sampling { prediction, zero_snr, turbo, .. } = sampling;
    let mut config = json!({
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "clip_sample": false,
        "num_train_timesteps": 1000,
        "prediction_type": prediction.name(),
        "set_alpha_to_one": false,
        "skip_prk_steps": true,
        "steps_offset": 1,
        "timestep_spacing": "leading",
        "trained_betas": null,
        "_class_name": match family {
            Family::Sd1 => "PNDMScheduler",
            Family::Sd2 if !turbo => "DDIMScheduler",
            Family::Sd2 | Family::Sdxl => "EulerDiscreteScheduler",
        },
    });
    if family == Family::Sdxl {
        config["interpolation_type"] = json!("linear");
        config["use_karras_sigmas"] = json!(false);
    }
    if zero_snr {
        config["rescale_betas_zero_snr"] = json!(true);
    }
    if zero_snr || turbo {
        // The steps have to begin at the last timestep (Lin et al., arXiv 2305.08891).
        config["timestep_spacing"] = json!("trailing");
    }
    config
}

/// `model_index.json`; `components` are those of the file.
pub(super) fn model_index(family: Family, task: Task, components: &[&str]) -> Value {
    let class = match (family, task) {
        (Family::Sdxl, Task::TextToImage) => "StableDiffusionXLPipeline",
        (Family::Sdxl, Task::Inpainting) => "StableDiffusionXLInpaintPipeline",
        (Family::Sdxl, Task::Edit) => "StableDiffusionXLInstructPix2PixPipeline",
        (_, Task::TextToImage) => "StableDiffusionPipeline",
        (_, Task::Inpainting) => "StableDiffusionInpaintPipeline",
        (_, Task::Edit) => "StableDiffusionInstructPix2PixPipeline",
    };
    let mut index = json!({ "_class_name": class });
    if family == Family::Sdxl {
        // As published with the base model: no negative prompt means embeddings of zeros.
        index["force_zeros_for_empty_prompt"] = json!(true);
    }
    for component in components {
        index[*component] = match *component {
            "unet" => json!(["diffusers", "UNet2DConditionModel"]),
            "vae" => json!(["diffusers", "AutoencoderKL"]),
            "text_encoder" => json!(["transformers", "CLIPTextModel"]),
            _ => json!(["transformers", "CLIPTextModelWithProjection"]),
        };
    }
    index
}
