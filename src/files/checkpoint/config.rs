//! The configurations that a single file lacks, with the keys of diffusers and transformers; the
//! UNet's are in [`unet_config`](super::unet_config).
//!
//! Sizes come from the weights. Values that the weights do not show come from the configurations
//! that were published with each family's models.

use super::sampling::Sampling;
use crate::error::{Error, ErrorKind, Result};
use crate::families::{Family, Published, Task};
use crate::weights::Weights;
use serde_json::{Value, json};

/// The size of CLIP's attention heads.
const HEAD: usize = 64;
/// Groups of every group norm in LDM (`GroupNorm32` and `Normalize`).
pub(super) const GROUPS: usize = 32;

/// A component's weights, for reading sizes from their shapes.
pub(super) struct WeightSizes<'w> {
    pub component: &'static str,
    pub weights: &'w Weights,
}

impl WeightSizes<'_> {
    /// The size of a tensor along an axis.
    ///
    /// # Errors
    /// `Weights` if there is no such tensor or axis.
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

    /// The number of tensors with consecutive indices from 0.
    pub fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..).take_while(|index| self.weights.shape(&name(*index)).is_some()).count()
    }
}

/// `vae/config.json`. Without a family it lacks the keys that differ between families, whose
/// autoencoders have the same shapes.
pub(super) fn vae(weights: &Weights, family: Option<&Family>) -> Result<Value> {
    let sizes = WeightSizes { component: "vae", weights };
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
        // A number of f32 in JSON would show its binary fraction.
        let factor: f64 = family.latents.scaling_factor.to_string().parse().unwrap_or_default();
        config["force_upcast"] = json!(family.latents.decoder_overflows_f16);
        config["scaling_factor"] = json!(factor);
        if let Some(published) = &family.published {
            config["sample_size"] = json!(published.image_size);
        }
    }
    Ok(config)
}

/// `text_encoder/config.json` or `text_encoder_2/config.json`.
pub(super) fn text_encoder(
    component: &'static str,
    weights: &Weights,
    family: Option<&Family>,
) -> Result<Value> {
    let sizes = WeightSizes { component, weights };
    let width = sizes.get("embeddings.token_embedding.weight", 1)?;
    let second = component == "text_encoder_2";
    let plan = family.and_then(|f| f.text.encoders.iter().find(|e| e.folder == component));
    // Without a UNet the width tells OpenCLIP's encoders, H and bigG, from OpenAI's CLIP-L.
    let by_width = if second || width == 1024 { "gelu" } else { "quick_gelu" };
    let activation = plan.map_or(by_width, |plan| plan.activation);
    let projection = pooled_width(weights).unwrap_or(width);
    Ok(json!({
        "architectures": [if second { "CLIPTextModelWithProjection" } else { "CLIPTextModel" }],
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": activation,
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

/// `scheduler/scheduler_config.json`, as published with the family's first model.
pub(super) fn scheduler(published: &Published, sampling: Sampling) -> Value {
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
        "_class_name": if turbo { "EulerDiscreteScheduler" } else { published.scheduler },
    });
    for (key, value) in published.scheduler_keys {
        config[*key] = serde_json::from_str(value).unwrap_or_default();
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

/// `model_index.json` for the components of a file.
pub(super) fn model_index(family: &Family, task: Task, components: &[&str]) -> Value {
    let class = family.published.as_ref().map(|published| (published.pipeline)(task));
    let mut index = json!({ "_class_name": class });
    if family.text.zeros_for_empty {
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
