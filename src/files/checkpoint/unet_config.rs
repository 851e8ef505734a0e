//! `config.json` of a UNet and of a ControlNet, which is a copy of a UNet's down blocks.

use super::blocks::{UnetLayout, UnetLevel};
use super::config::{GROUPS, WeightSizes};
use crate::error::{Error, ErrorKind, Result};
use crate::families::{HeadRule, Published};
use crate::models::unet_network::text_width;
use crate::schedulers::Prediction;
use crate::weights::Weights;
use serde_json::{Value, json};

/// `unet/config.json`. `pooled` is the width of XL's pooled text embedding.
pub(super) fn unet(
    weights: &Weights,
    published: &Published,
    prediction: Prediction,
    pooled: usize,
) -> Result<Value> {
    let sizes = WeightSizes { component: "unet", weights };
    let layout = UnetLayout::from_diffusers(weights.names());
    let mut config = way_down(&sizes, &layout, published, pooled)?;
    config["_class_name"] = json!("UNet2DConditionModel");
    config["center_input_sample"] = json!(false);
    config["out_channels"] = json!(sizes.get("conv_out.weight", 0)?);
    config["sample_size"] = json!((published.sample_size)(prediction));
    config["up_block_types"] = blocks(&layout.up, "CrossAttnUpBlock2D", "UpBlock2D");
    if let Ok(width) = sizes.get("time_embedding.cond_proj.weight", 1) {
        config["time_cond_proj_dim"] = json!(width);
    }
    Ok(config)
}

/// `config.json` of a ControlNet. The weights do not show `global_pool_conditions`, which is assumed
/// to be false.
pub(super) fn controlnet(weights: &Weights, published: &Published, pooled: usize) -> Result<Value> {
    let sizes = WeightSizes { component: "controlnet", weights };
    let layout = UnetLayout::from_diffusers(weights.names());
    let mut config = way_down(&sizes, &layout, published, pooled)?;
    config["_class_name"] = json!("ControlNetModel");
    let picture = sizes.get("controlnet_cond_embedding.conv_in.weight", 1)?;
    config["conditioning_channels"] = json!(picture);
    config["controlnet_conditioning_channel_order"] = json!("rgb");
    config["global_pool_conditions"] = json!(false);
    Ok(config)
}

/// The configuration keys that UNet and ControlNet share.
fn way_down(
    sizes: &WeightSizes<'_>,
    layout: &UnetLayout,
    published: &Published,
    pooled: usize,
) -> Result<Value> {
    let weights = sizes.weights;
    let width = |level| sizes.get(&format!("down_blocks.{level}.resnets.0.conv1.weight"), 0);
    let widths = (0..layout.down.len()).map(width).collect::<Result<Vec<_>>>()?;
    let heads = match published.heads {
        HeadRule::Count(count) => json!(count),
        HeadRule::Size(size) => {
            json!(widths.iter().map(|width| (width / size).max(1)).collect::<Vec<_>>())
        }
    };
    let projection = weights.names().find(|name| name.ends_with(".proj_in.weight"));
    let linear = projection.and_then(|name| weights.shape(name)).is_some_and(|s| s.len() == 2);
    // XL counts its transformer blocks level by level; a level without any has the number too.
    let depth = |level| {
        let block = |index| {
            format!("down_blocks.{level}.attentions.0.transformer_blocks.{index}.norm1.weight")
        };
        sizes.count(block).max(1)
    };
    let middle = match (layout.middle_resnets, layout.middle_attentions) {
        (0, _) => Value::Null,
        (_, 0) => json!("UNetMidBlock2D"),
        _ => json!("UNetMidBlock2DCrossAttn"),
    };
    let mut config = json!({
        "act_fn": "silu",
        "attention_head_dim": heads,
        "block_out_channels": widths,
        "cross_attention_dim": text_width(weights),
        "down_block_types": blocks(&layout.down, "CrossAttnDownBlock2D", "DownBlock2D"),
        "downsample_padding": 1,
        "flip_sin_to_cos": true,
        "freq_shift": 0,
        "in_channels": sizes.get("conv_in.weight", 1)?,
        "layers_per_block": layout.down.first().map_or(0, |level| level.attentions.len()),
        "mid_block_scale_factor": 1,
        "mid_block_type": middle,
        "norm_eps": 1e-5,
        "norm_num_groups": GROUPS,
        "transformer_layers_per_block": (0..layout.down.len()).map(depth).collect::<Vec<_>>(),
        "use_linear_projection": linear,
    });
    if weights.shape("add_embedding.linear_1.weight").is_some() {
        // Six numbers of sizes and crops, each as sinusoids, beside the pooled text.
        let inputs = sizes.get("add_embedding.linear_1.weight", 1)?;
        let rest = inputs.checked_sub(pooled).filter(|rest| rest % 6 == 0 && *rest > 0);
        let rest = rest.ok_or_else(|| {
            let message = format!(
                "{}: add_embedding.linear_1.weight: expected {pooled} inputs of a pooled text and \
                 six times as many as each size gets, found {inputs}",
                sizes.component
            );
            Error::new(ErrorKind::Weights, message)
        })?;
        config["addition_embed_type"] = json!("text_time");
        config["addition_time_embed_dim"] = json!(rest / 6);
        config["projection_class_embeddings_input_dim"] = json!(inputs);
    }
    Ok(config)
}

/// The block type of each level.
fn blocks(levels: &[UnetLevel], with: &str, without: &str) -> Value {
    let attends = |level: &UnetLevel| level.attentions.contains(&true);
    json!(
        levels.iter().map(|level| if attends(level) { with } else { without }).collect::<Vec<_>>()
    )
}
