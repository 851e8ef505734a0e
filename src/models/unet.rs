//! The denoising UNet of Stable Diffusion 1.x and 2.x (diffusers' `UNet2DConditionModel`;
//! Rombach et al., arXiv 2112.10752) and of MobileDiffusion, which shares its outline.
//!
//! Which block has attention, how many layers there are and how wide they are is seen from the
//! weights.

use super::blocks::{Time, TransformerStyle, conv3x3, downsample, resnet, transformer, upsample};
use super::config::{Supported, require_supported};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Scope, Tensor};
use crate::kernels::activation::Function;
use crate::kernels::attention::Form;
use crate::kernels::timestep_embedding::TimestepEmbedding;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The inputs of a UNet.
#[derive(Clone, Copy)]
pub struct UnetInputs<'g> {
    /// Noisy latents `[B, h, w, C]`.
    pub sample: Tensor<'g>,
    /// The timesteps of all sampling steps, `[S]`.
    pub timesteps: Tensor<'g>,
    /// The scalars of the current step, whose first element is its row among the timesteps.
    pub step: Tensor<'g>,
    /// Text embeddings `[B, T, D]`.
    pub context: Tensor<'g>,
}

/// What weights do not tell of a UNet.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// Heads of the attentions at a level, given its channels.
    pub heads: Heads,
    /// Groups of every group norm.
    pub groups: usize,
    /// Epsilon of the ResBlocks' and the last group norm.
    pub norm_epsilon: f64,
    /// Epsilon of the transformers' group norm.
    pub transformer_norm_epsilon: f64,
    /// Epsilon of layer norms.
    pub layer_norm_epsilon: f64,
    /// Softmax or ReLU attention.
    pub form: Form,
    /// The gate of the feed-forward.
    pub gate: Function,
    /// Whether the timestep embedding has its cosines first.
    pub flip_sin_to_cos: bool,
    /// Shift of the timestep embedding's frequencies.
    pub frequency_shift: f32,
}

/// How the number of heads follows from a level.
#[derive(Clone, Debug, PartialEq)]
pub enum Heads {
    /// A number of heads per level, outermost first.
    Count(Vec<usize>),
    /// The size of every head.
    Size(usize),
}

impl Heads {
    fn at(&self, level: usize, channels: usize) -> usize {
        match self {
            Heads::Count(counts) => counts[level.min(counts.len() - 1)],
            Heads::Size(size) => (channels / size).max(1),
        }
    }
}

/// The UNet: noise, velocity or sample prediction `[B, h, w, C]`, as it was trained.
pub fn unet<'g>(m: &Scope<'g>, outline: &Outline, inputs: UnetInputs<'g>) -> Tensor<'g> {
    let UnetInputs { sample, timesteps, step, context } = inputs;
    let Outline { groups, norm_epsilon, .. } = *outline;
    let embeddings = time_embedding(m, outline, timesteps).silu();
    let time = Some(Time { embeddings, step });
    let attend = |m: &Scope<'g>, x: Tensor<'g>, level: usize| {
        transformer(m, x, context, style(outline, level, x.channels()))
    };

    let mut x = m.conv("conv_in", sample).tap(&m.at("conv_in"));
    let mut skips = vec![x];
    let down_blocks = m.each("down_blocks");
    for (level, m) in down_blocks.iter().enumerate() {
        let attentions = m.each("attentions");
        for (index, block) in m.each("resnets").iter().enumerate() {
            x = resnet(block, x, time, groups, norm_epsilon);
            if let Some(attention) = attentions.get(index) {
                x = attend(attention, x, level);
            }
            skips.push(x);
        }
        for block in m.each("downsamplers") {
            x = downsample(&block, x);
            skips.push(x);
        }
    }

    let middle = m.at("mid_block");
    let attentions = middle.each("attentions");
    for (index, block) in middle.each("resnets").iter().enumerate() {
        if let Some(attention) = index.checked_sub(1).and_then(|index| attentions.get(index)) {
            x = attend(attention, x, down_blocks.len().saturating_sub(1));
        }
        x = resnet(block, x, time, groups, norm_epsilon);
    }

    for (index, m) in m.each("up_blocks").iter().enumerate() {
        let level = down_blocks.len().saturating_sub(1 + index);
        let attentions = m.each("attentions");
        for (index, block) in m.each("resnets").iter().enumerate() {
            let Some(skip) = skips.pop() else {
                block.fail(
                    ErrorKind::Weights,
                    "more ResBlocks on the way up than down plus one a level",
                );
                return x;
            };
            x = resnet(block, x.concat(skip), time, groups, norm_epsilon);
            if let Some(attention) = attentions.get(index) {
                x = attend(attention, x, level);
            }
        }
        for block in m.each("upsamplers") {
            x = upsample(&block, x, skips.last().copied());
        }
    }
    let x = m.group_norm("conv_norm_out", x, groups, norm_epsilon).silu();
    conv3x3(m, "conv_out", x).tap(&m.at("conv_out"))
}

/// Sinusoids of the timesteps through a two-layer perceptron: `[S, T]`.
fn time_embedding<'g>(m: &Scope<'g>, outline: &Outline, timesteps: Tensor<'g>) -> Tensor<'g> {
    let m = m.at("time_embedding");
    let dim = m.weight_shape("linear_1.weight").and_then(|shape| shape.get(1).copied());
    let Outline { flip_sin_to_cos, frequency_shift, .. } = *outline;
    let sinusoids = TimestepEmbedding { dim: dim.unwrap_or(4), flip_sin_to_cos, frequency_shift };
    let h = m.builder().apply(sinusoids, &[Some(timesteps)]);
    m.linear("linear_2", m.linear("linear_1", h).silu()).tap(&m)
}

fn style(outline: &Outline, level: usize, channels: usize) -> TransformerStyle {
    TransformerStyle {
        heads: outline.heads.at(level, channels),
        form: outline.form,
        gate: outline.gate,
        groups: outline.groups,
        norm_epsilon: outline.transformer_norm_epsilon,
        layer_norm_epsilon: outline.layer_norm_epsilon,
    }
}

/// The keys of a `UNet2DConditionModel`'s `config.json` that weights do not tell.
#[derive(Clone, Debug, Deserialize)]
pub struct UnetConfig {
    /// The default height and width of the latents.
    #[serde(default)]
    pub sample_size: Option<usize>,
    /// Channels of the input latents.
    #[serde(default = "four")]
    pub in_channels: usize,
    /// In spite of its name the number of heads, one for all levels or one a level.
    #[serde(default = "eight_heads")]
    attention_head_dim: OneOrMany,
    /// The number of heads where a configuration names it properly.
    #[serde(default)]
    num_attention_heads: Option<OneOrMany>,
    #[serde(default = "thirty_two")]
    norm_num_groups: usize,
    #[serde(default = "default_epsilon")]
    norm_eps: f64,
    #[serde(default = "yes")]
    flip_sin_to_cos: bool,
    #[serde(default)]
    freq_shift: f32,
    #[serde(default = "four")]
    out_channels: usize,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Keys that change the arithmetic and leave no trace in the weights.
const SUPPORTED: [Supported; 20] = [
    ("act_fn", &["\"silu\"", "\"swish\""]),
    ("addition_embed_type", &[]),
    ("attention_type", &["\"default\""]),
    ("center_input_sample", &["false"]),
    ("class_embed_type", &[]),
    ("conv_in_kernel", &["3"]),
    ("conv_out_kernel", &["3"]),
    ("cross_attention_norm", &[]),
    ("downsample_padding", &["1"]),
    ("dual_cross_attention", &["false"]),
    ("encoder_hid_dim_type", &[]),
    ("mid_block_only_cross_attention", &["false"]),
    ("mid_block_scale_factor", &["1", "1.0"]),
    ("only_cross_attention", &["false"]),
    ("resnet_out_scale_factor", &["1", "1.0"]),
    ("resnet_skip_time_act", &["false"]),
    ("resnet_time_scale_shift", &["\"default\""]),
    ("time_cond_proj_dim", &[]),
    ("time_embedding_act_fn", &[]),
    ("time_embedding_type", &["\"positional\""]),
];

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(usize),
    Many(Vec<usize>),
}

fn four() -> usize {
    4
}
fn eight_heads() -> OneOrMany {
    OneOrMany::One(8)
}
fn thirty_two() -> usize {
    32
}
fn default_epsilon() -> f64 {
    1e-5
}
fn yes() -> bool {
    true
}
impl UnetConfig {
    /// The outline of this configuration.
    ///
    /// # Errors
    /// `Unsupported` for variants that croquis does not have yet, by key and value.
    pub fn outline(&self) -> Result<Outline> {
        let file = "unet/config.json";
        require_supported(file, &self.other, &SUPPORTED)?;
        if self.out_channels != self.in_channels {
            let message = format!(
                "{file}: in_channels: expected as many as out_channels, {}, got {} (models for \
                 inpainting are not supported yet)",
                self.out_channels, self.in_channels
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let heads = match self.num_attention_heads.as_ref().unwrap_or(&self.attention_head_dim) {
            OneOrMany::One(count) => vec![*count],
            OneOrMany::Many(counts) => counts.clone(),
        };
        if heads.is_empty() || heads.contains(&0) || self.norm_num_groups == 0 {
            return Err(Error::new(
                ErrorKind::Config,
                "unet/config.json: attention_head_dim and norm_num_groups must be at least 1",
            ));
        }
        Ok(Outline {
            heads: Heads::Count(heads),
            groups: self.norm_num_groups,
            norm_epsilon: self.norm_eps,
            transformer_norm_epsilon: 1e-6,
            layer_norm_epsilon: 1e-5,
            form: Form::Softmax,
            gate: Function::Gelu,
            flip_sin_to_cos: self.flip_sin_to_cos,
            frequency_shift: self.freq_shift,
        })
    }
}
