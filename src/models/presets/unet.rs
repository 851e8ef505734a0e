//! The UNet of a preset, Stable Diffusion's or MobileDiffusion's: names and shapes of its weights.

use super::list::WeightShapes;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One level (resolution) of a UNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub channels: usize,
    /// Transformer blocks in each attention module; 0 without attention.
    pub transformers: usize,
    pub self_attention: bool,
    pub cross_attention: bool,
    /// Whether the ResBlocks' 3×3 convolutions are separable.
    pub separable: bool,
}

/// The model family, which determines the blocks' structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnetFamily {
    /// Two ResBlocks a level, separate keys and values, feed-forward of ratio 4 with GEGLU.
    Stable,
    /// One ResBlock a level, one projection for keys and values, feed-forward of ratio 3 with
    /// SwiGLU.
    Mobile,
}

/// The sizes of a preset's UNet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UnetPreset {
    pub family: UnetFamily,
    pub sample_size: usize,
    pub latent_channels: usize,
    pub text_width: usize,
    /// The levels, outermost first.
    pub levels: Vec<Level>,
    pub middle_transformers: usize,
    /// Whether the down- and upsampling convolutions of separable levels are separable too.
    pub separable_resample: bool,
    pub time_width: usize,
    /// Number of heads per level (Stable Diffusion's `attention_head_dim`), or the size of a head
    /// (MobileDiffusion).
    pub heads: Vec<usize>,
    pub groups: usize,
    /// Whether the transformers' projections are linear layers, not 1×1 convolutions.
    pub linear_projection: bool,
    /// Width of the pooled text embedding and of the embedding of each of the six time ids (SDXL).
    pub addition: Option<[usize; 2]>,
}

impl UnetPreset {
    /// ResBlocks per level of the down blocks; the up blocks have one more.
    fn layers(&self) -> usize {
        match self.family {
            UnetFamily::Stable => 2,
            UnetFamily::Mobile => 1,
        }
    }

    /// Name and shape of every weight.
    pub fn weights(&self) -> BTreeMap<String, Vec<usize>> {
        let mut list = WeightShapes::default();
        let (Some(outer), Some(inner)) = (self.levels.first(), self.levels.last()) else {
            return list.0;
        };
        list.conv("conv_in", self.latent_channels, outer.channels, false);
        list.linear("time_embedding.linear_1", outer.channels, self.time_width);
        list.linear("time_embedding.linear_2", self.time_width, self.time_width);
        if let Some([pooled, size]) = self.addition {
            list.linear("add_embedding.linear_1", pooled + 6 * size, self.time_width);
            list.linear("add_embedding.linear_2", self.time_width, self.time_width);
        }

        let last = self.levels.len() - 1;
        let (mut skips, mut x) = (vec![outer.channels], outer.channels);
        for (index, level) in self.levels.iter().enumerate() {
            let block = format!("down_blocks.{index}");
            for layer in 0..self.layers() {
                self.layer(&mut list, &block, layer, *level, x);
                x = level.channels;
                skips.push(x);
            }
            if index < last {
                let separable = self.separable_resample && level.separable;
                list.conv(&format!("{block}.downsamplers.0.conv"), x, x, separable);
                skips.push(x);
            }
        }
        self.resnet(&mut list, "mid_block.resnets.0", inner.separable, [x, x]);
        let middle = Level { transformers: self.middle_transformers, ..*inner };
        self.transformer(&mut list, "mid_block.attentions.0", middle);
        self.resnet(&mut list, "mid_block.resnets.1", inner.separable, [x, x]);
        for (index, level) in self.levels.iter().rev().enumerate() {
            let block = format!("up_blocks.{index}");
            for layer in 0..self.layers() + 1 {
                let skip = skips.pop().unwrap_or_default();
                self.layer(&mut list, &block, layer, *level, x + skip);
                x = level.channels;
            }
            if index < last {
                let separable = self.separable_resample && level.separable;
                list.conv(&format!("{block}.upsamplers.0.conv"), x, x, separable);
            }
        }
        list.norm("conv_norm_out", x);
        list.conv("conv_out", x, self.latent_channels, false);
        list.0
    }

    /// Adds a ResBlock and, where the level has one, its transformer.
    fn layer(
        &self,
        list: &mut WeightShapes,
        block: &str,
        index: usize,
        level: Level,
        inputs: usize,
    ) {
        let resnet = format!("{block}.resnets.{index}");
        self.resnet(list, &resnet, level.separable, [inputs, level.channels]);
        if level.transformers > 0 {
            self.transformer(list, &format!("{block}.attentions.{index}"), level);
        }
    }

    fn resnet(&self, list: &mut WeightShapes, path: &str, separable: bool, channels: [usize; 2]) {
        list.resnet(path, channels, Some(self.time_width), separable);
    }

    fn transformer(&self, list: &mut WeightShapes, path: &str, level: Level) {
        let d = level.channels;
        list.norm(&format!("{path}.norm"), d);
        for projection in ["proj_in", "proj_out"] {
            let path = format!("{path}.{projection}");
            match self.linear_projection {
                true => list.linear(&path, d, d),
                false => list.pointwise(&path, d, d),
            }
        }
        let (keys_values, feed_forward): (&[&str], usize) = match self.family {
            UnetFamily::Stable => (&["to_k", "to_v"], 4),
            UnetFamily::Mobile => (&["to_kv"], 3),
        };
        for block in 0..level.transformers {
            let block = format!("{path}.transformer_blocks.{block}");
            let attentions =
                [(level.self_attention, 1, d), (level.cross_attention, 2, self.text_width)];
            for (present, number, context) in attentions {
                if present {
                    let attention = format!("{block}.attn{number}");
                    list.norm(&format!("{block}.norm{number}"), d);
                    list.add(format!("{attention}.to_q.weight"), &[d, d]);
                    for name in keys_values {
                        list.add(format!("{attention}.{name}.weight"), &[d, context]);
                    }
                    list.linear(&format!("{attention}.to_out.0"), d, d);
                }
            }
            list.norm(&format!("{block}.norm3"), d);
            // Value and gate in one projection.
            list.linear(&format!("{block}.ff.net.0.proj"), d, 2 * feed_forward * d);
            list.linear(&format!("{block}.ff.net.2"), feed_forward * d, d);
        }
    }

    /// The `config.json` that goes with the weights.
    pub fn config(&self) -> Value {
        let widths: Vec<_> = self.levels.iter().map(|level| level.channels).collect();
        let mut config = json!({
            "sample_size": self.sample_size,
            "in_channels": self.latent_channels,
            "out_channels": self.latent_channels,
            "block_out_channels": widths,
            "layers_per_block": self.layers(),
            "cross_attention_dim": self.text_width,
            "norm_num_groups": self.groups,
            "norm_eps": 1e-5,
            "act_fn": "silu",
            "use_linear_projection": self.linear_projection,
            "flip_sin_to_cos": true,
            "freq_shift": 0,
        });
        let more = match self.family {
            UnetFamily::Stable => self.stable_config(),
            UnetFamily::Mobile => self.mobile_config(),
        };
        if let (Some(config), Value::Object(more)) = (config.as_object_mut(), more) {
            config.extend(more);
        }
        config
    }

    fn stable_config(&self) -> Value {
        let types = |with: &str, without: &str| -> Vec<String> {
            let kind = |level: &Level| if level.transformers > 0 { with } else { without };
            self.levels.iter().map(|level| kind(level).to_string()).collect()
        };
        let mut up = types("CrossAttnUpBlock2D", "UpBlock2D");
        up.reverse();
        let transformers = self.levels.iter().map(|level| level.transformers.max(1));
        let mut config = json!({
            "_class_name": "UNet2DConditionModel",
            "attention_head_dim": self.heads,
            "down_block_types": types("CrossAttnDownBlock2D", "DownBlock2D"),
            "mid_block_type": "UNetMidBlock2DCrossAttn",
            "up_block_types": up,
            "transformer_layers_per_block": transformers.collect::<Vec<_>>(),
        });
        if let Some([pooled, size]) = self.addition {
            config["addition_embed_type"] = "text_time".into();
            config["addition_time_embed_dim"] = size.into();
            config["projection_class_embeddings_input_dim"] = (pooled + 6 * size).into();
        }
        config
    }

    fn mobile_config(&self) -> Value {
        let each = |value: fn(&Level) -> Value| self.levels.iter().map(value).collect::<Value>();
        let resample = |level: &Level| Value::from(self.separable_resample && level.separable);
        json!({
            "_class_name": "MobileDiffusionUNet",
            "up_layers_per_block": self.layers() + 1,
            "transformer_layers": each(|level| level.transformers.into()),
            "mid_transformer_layers": self.middle_transformers,
            "self_attention": each(|level| level.self_attention.into()),
            "cross_attention": each(|level| level.cross_attention.into()),
            "separable": each(|level| level.separable.into()),
            "separable_resample": self.levels.iter().map(resample).collect::<Value>(),
            "attention_head_dim": self.heads.first(),
            "shared_kv": true,
            "attention_activation": "softmax",
            "feed_forward": "swiglu",
            "ff_mult": 3,
            "transformer_norm_eps": 1e-6,
            "layer_norm_eps": 1e-5,
            "time_embed_dim": self.time_width,
        })
    }
}
