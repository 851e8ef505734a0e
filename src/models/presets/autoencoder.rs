//! The autoencoder of a preset: names and shapes of its weights, and its configuration.

use super::list::WeightShapes;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The sizes of a preset's `AutoencoderKL`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AutoencoderPreset {
    pub latent_channels: usize,
    /// Channels per level, outermost first; each level but the last halves height and width.
    pub channels: [usize; 4],
    /// ResBlocks per level of the encoder; the decoder has one more.
    pub layers: usize,
    pub groups: usize,
    pub scaling_factor: f32,
}

impl AutoencoderPreset {
    /// Name and shape of every weight.
    pub fn weights(&self) -> BTreeMap<String, Vec<usize>> {
        let mut list = WeightShapes::default();
        let latents = self.latent_channels;
        let [outer, .., inner] = self.channels;

        list.conv("encoder.conv_in", 3, outer, false);
        let x = self.levels(&mut list, "encoder.down_blocks", "downsamplers", outer, self.layers);
        middle(&mut list, "encoder.mid_block", x);
        list.norm("encoder.conv_norm_out", inner);
        list.conv("encoder.conv_out", inner, 2 * latents, false);
        list.pointwise("quant_conv", 2 * latents, 2 * latents);

        list.pointwise("post_quant_conv", latents, latents);
        list.conv("decoder.conv_in", latents, inner, false);
        middle(&mut list, "decoder.mid_block", inner);
        let x = self.levels(&mut list, "decoder.up_blocks", "upsamplers", inner, self.layers + 1);
        list.norm("decoder.conv_norm_out", x);
        list.conv("decoder.conv_out", x, 3, false);
        list.0
    }

    /// Adds the down or up blocks; returns the channels of their output.
    fn levels(
        &self,
        list: &mut WeightShapes,
        path: &str,
        between: &str,
        mut x: usize,
        layers: usize,
    ) -> usize {
        let mut channels = self.channels;
        if between == "upsamplers" {
            channels.reverse();
        }
        for (index, channels) in channels.into_iter().enumerate() {
            let block = format!("{path}.{index}");
            for layer in 0..layers {
                list.resnet(&format!("{block}.resnets.{layer}"), [x, channels], None, false);
                x = channels;
            }
            if index + 1 < self.channels.len() {
                list.conv(&format!("{block}.{between}.0.conv"), x, x, false);
            }
        }
        x
    }

    /// The `config.json` that goes with the weights.
    pub fn config(&self) -> Value {
        json!({
            "_class_name": "AutoencoderKL",
            "act_fn": "silu",
            "block_out_channels": self.channels,
            "down_block_types": self.channels.map(|_| "DownEncoderBlock2D"),
            "up_block_types": self.channels.map(|_| "UpDecoderBlock2D"),
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": self.latent_channels,
            "layers_per_block": self.layers,
            "norm_num_groups": self.groups,
            "scaling_factor": self.scaling_factor,
        })
    }
}

fn middle(list: &mut WeightShapes, path: &str, channels: usize) {
    for index in 0..2 {
        list.resnet(&format!("{path}.resnets.{index}"), [channels; 2], None, false);
    }
    let attention = format!("{path}.attentions.0");
    list.norm(&format!("{attention}.group_norm"), channels);
    for projection in ["to_q", "to_k", "to_v", "to_out.0"] {
        list.linear(&format!("{attention}.{projection}"), channels, channels);
    }
}
