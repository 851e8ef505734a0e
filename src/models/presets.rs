//! MobileDiffusion at full size: names and shapes of the weights of our reconstruction.
//!
//! The paper's weights and exact widths are not public. These presets follow its text (full blocks
//! at the core, cross-attention only in the middle, separable convolutions, feed-forward of ratio
//! 6) at widths that meet its counts, so that plans, costs and kernels can be judged at size.

use super::mobile::MobileConfig;
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

/// One resolution of a UNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Level {
    channels: usize,
    /// Transformer blocks in each attention module; none without.
    transformers: usize,
    self_attention: bool,
    cross_attention: bool,
    /// Whether 3×3 convolutions of ResBlocks are separable.
    separable: bool,
}

/// A named size of the MobileDiffusion UNet.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Its name: `mobilediffusion`, `mobilediffusion-lite` or `emoji-64`.
    pub name: &'static str,
    /// Height and width of the latents.
    pub sample_size: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Width of the text embeddings.
    pub text_width: usize,
    levels: [Level; 3],
    middle_transformers: usize,
    separable_resample: bool,
    time_width: usize,
}

/// Size of an attention head.
const HEAD: usize = 64;
/// Hidden channels of the feed-forward per input channel; value and gate make it twice that.
const FEED_FORWARD: usize = 3;

impl Preset {
    /// The preset of a name.
    ///
    /// # Errors
    /// `Argument` listing the names.
    pub fn named(name: &str) -> Result<Preset> {
        let levels = |channels: [usize; 3], transformers: [usize; 3]| {
            [0, 1, 2].map(|level| Level {
                channels: channels[level],
                transformers: transformers[level],
                self_attention: level == 2,
                cross_attention: level > 0,
                separable: level > 0,
            })
        };
        let full = Preset {
            name: "mobilediffusion",
            sample_size: 64,
            latent_channels: 8,
            text_width: 768,
            levels: levels([320, 640, 1024], [0, 2, 3]),
            middle_transformers: 5,
            separable_resample: false,
            time_width: 1280,
        };
        match name {
            "mobilediffusion" => Ok(full),
            "mobilediffusion-lite" => Ok(Preset {
                name: "mobilediffusion-lite",
                levels: levels([320, 640, 896], [0, 1, 3]),
                middle_transformers: 3,
                separable_resample: true,
                ..full
            }),
            "emoji-64" => Ok(Preset {
                name: "emoji-64",
                sample_size: 8,
                text_width: 192,
                levels: levels([64, 192, 320], [0, 1, 1]),
                middle_transformers: 1,
                separable_resample: true,
                time_width: 256,
                ..full
            }),
            other => {
                let message = format!(
                    "preset: expected mobilediffusion, mobilediffusion-lite or emoji-64, got {other:?}"
                );
                Err(Error::new(ErrorKind::Argument, message))
            }
        }
    }

    /// The configuration that goes with the weights.
    pub fn config(&self) -> MobileConfig {
        MobileConfig::reconstruction(self.sample_size, self.latent_channels, HEAD)
    }

    /// Every weight's name and shape, as PyTorch would save them.
    pub fn weights(&self) -> BTreeMap<String, Vec<usize>> {
        let mut list = List::default();
        let [outer, .., inner] = self.levels;
        list.conv("conv_in", self.latent_channels, outer.channels, false);
        list.linear("time_embedding.linear_1", outer.channels, self.time_width);
        list.linear("time_embedding.linear_2", self.time_width, self.time_width);

        let last = self.levels.len() - 1;
        let (mut skips, mut x) = (vec![outer.channels], outer.channels);
        for (index, level) in self.levels.iter().enumerate() {
            let block = format!("down_blocks.{index}");
            self.layer(&mut list, &block, 0, *level, x);
            x = level.channels;
            skips.push(x);
            if index < last {
                let separable = self.separable_resample && level.separable;
                list.conv(&format!("{block}.downsamplers.0.conv"), x, x, separable);
                skips.push(x);
            }
        }
        self.resnet(&mut list, "mid_block.resnets.0", inner.separable, x, x);
        let middle = Level { transformers: self.middle_transformers, ..inner };
        self.transformer(&mut list, "mid_block.attentions.0", middle);
        self.resnet(&mut list, "mid_block.resnets.1", inner.separable, x, x);
        for (index, level) in self.levels.iter().rev().enumerate() {
            let block = format!("up_blocks.{index}");
            for layer in 0..2 {
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

    /// A ResBlock and, where the level has one, its transformer.
    fn layer(&self, list: &mut List, block: &str, index: usize, level: Level, inputs: usize) {
        let resnet = format!("{block}.resnets.{index}");
        self.resnet(list, &resnet, level.separable, inputs, level.channels);
        if level.transformers > 0 {
            self.transformer(list, &format!("{block}.attentions.{index}"), level);
        }
    }

    fn resnet(&self, list: &mut List, path: &str, separable: bool, inputs: usize, outputs: usize) {
        list.norm(&format!("{path}.norm1"), inputs);
        list.conv(&format!("{path}.conv1"), inputs, outputs, separable);
        list.linear(&format!("{path}.time_emb_proj"), self.time_width, outputs);
        list.norm(&format!("{path}.norm2"), outputs);
        list.conv(&format!("{path}.conv2"), outputs, outputs, separable);
        if inputs != outputs {
            list.add(format!("{path}.conv_shortcut.weight"), &[outputs, inputs, 1, 1]);
            list.add(format!("{path}.conv_shortcut.bias"), &[outputs]);
        }
    }

    fn transformer(&self, list: &mut List, path: &str, level: Level) {
        let d = level.channels;
        list.norm(&format!("{path}.norm"), d);
        list.linear(&format!("{path}.proj_in"), d, d);
        list.linear(&format!("{path}.proj_out"), d, d);
        for block in 0..level.transformers {
            let block = format!("{path}.transformer_blocks.{block}");
            let attentions =
                [(level.self_attention, 1, d), (level.cross_attention, 2, self.text_width)];
            for (present, number, context) in attentions {
                if present {
                    list.norm(&format!("{block}.norm{number}"), d);
                    list.add(format!("{block}.attn{number}.to_q.weight"), &[d, d]);
                    list.add(format!("{block}.attn{number}.to_kv.weight"), &[d, context]);
                    list.linear(&format!("{block}.attn{number}.to_out.0"), d, d);
                }
            }
            list.norm(&format!("{block}.norm3"), d);
            list.linear(&format!("{block}.ff.net.0.proj"), d, 2 * FEED_FORWARD * d);
            list.linear(&format!("{block}.ff.net.2"), FEED_FORWARD * d, d);
        }
    }
}

/// Weights in the making.
#[derive(Default)]
struct List(BTreeMap<String, Vec<usize>>);

impl List {
    fn add(&mut self, name: String, shape: &[usize]) {
        self.0.insert(name, shape.to_vec());
    }

    fn norm(&mut self, path: &str, channels: usize) {
        self.add(format!("{path}.weight"), &[channels]);
        self.add(format!("{path}.bias"), &[channels]);
    }

    fn linear(&mut self, path: &str, inputs: usize, outputs: usize) {
        self.add(format!("{path}.weight"), &[outputs, inputs]);
        self.add(format!("{path}.bias"), &[outputs]);
    }

    /// A 3×3 convolution, whole or depthwise and pointwise.
    fn conv(&mut self, path: &str, inputs: usize, outputs: usize, separable: bool) {
        if separable {
            self.add(format!("{path}.depthwise.weight"), &[inputs, 1, 3, 3]);
            self.add(format!("{path}.pointwise.weight"), &[outputs, inputs, 1, 1]);
            self.add(format!("{path}.pointwise.bias"), &[outputs]);
        } else {
            self.add(format!("{path}.weight"), &[outputs, inputs, 3, 3]);
            self.add(format!("{path}.bias"), &[outputs]);
        }
    }
}
