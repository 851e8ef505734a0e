//! Names and shapes of an autoencoder's weights.

use super::list::List;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The sizes of an `AutoencoderKL`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Autoencoder {
    pub latent_channels: usize,
    /// Outermost first; each level but the last halves height and width.
    pub channels: [usize; 4],
    /// ResBlocks of a level of the encoder; the decoder has one more.
    pub layers: usize,
    pub groups: usize,
    pub scaling_factor: f32,
}

impl Autoencoder {
    /// Every weight's name and shape.
    pub fn weights(&self) -> BTreeMap<String, Vec<usize>> {
        let mut list = List::default();
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

    /// The levels one way or the other, and the channels that come out.
    fn levels(
        &self,
        list: &mut List,
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

fn middle(list: &mut List, path: &str, channels: usize) {
    for index in 0..2 {
        list.resnet(&format!("{path}.resnets.{index}"), [channels; 2], None, false);
    }
    let attention = format!("{path}.attentions.0");
    list.norm(&format!("{attention}.group_norm"), channels);
    for projection in ["to_q", "to_k", "to_v", "to_out.0"] {
        list.linear(&format!("{attention}.{projection}"), channels, channels);
    }
}
