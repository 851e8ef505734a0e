//! The denoising UNet of Stable Diffusion 1.x, 2.x and XL and the networks distilled from them
//! (diffusers' `UNet2DConditionModel`; Rombach et al., arXiv 2112.10752; Podell et al., arXiv
//! 2307.01952), and of MobileDiffusion, which has the same structure.
//!
//! The weights determine which blocks have attention, the number of layers and their widths.

mod conditioning;
mod config;

pub use conditioning::{AddedConditioning, Conditioning, guidance_embedding};
pub use config::UnetConfig;

use super::blocks::{Time, TransformerStyle, conv3x3, downsample, resnet, transformer, upsample};
use super::numbered::{CONTROL, numbered};
use crate::error::ErrorKind;
use crate::graph::{Scope, Tensor};
use crate::kernels::activation::Function;
use crate::kernels::attention::Form;

/// The hyperparameters of a UNet that weight shapes do not show.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// Number of attention heads at each level.
    pub heads: Heads,
    /// Groups of every group norm.
    pub groups: usize,
    /// Epsilon of the group norms of the ResBlocks and before the last convolution.
    pub norm_epsilon: f64,
    /// Epsilon of the transformers' group norms.
    pub transformer_norm_epsilon: f64,
    /// Epsilon of layer norms.
    pub layer_norm_epsilon: f64,
    /// The attention's form: softmax or ReLU.
    pub form: Form,
    /// The activation of the feed-forward's gate.
    pub gate: Function,
    /// Whether the cosines come first in the timestep embedding.
    pub flip_sin_to_cos: bool,
    /// Shift of the timestep embedding's frequencies (`freq_shift`).
    pub frequency_shift: f32,
    /// Channels of the embedding of each of SDXL's time ids (`addition_time_embed_dim`); `None` for
    /// other models.
    pub size_embedding: Option<usize>,
}

/// The number of attention heads, given directly or by the size of a head.
#[derive(Clone, Debug, PartialEq)]
pub enum Heads {
    /// Number of heads per level, outermost first.
    Count(Vec<usize>),
    /// Size of every head.
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

/// The output of the down blocks and the mid block.
pub(super) struct Contracted<'g> {
    /// The output of the mid block.
    pub middle: Tensor<'g>,
    /// The skip connections, outermost first.
    pub skips: Vec<Tensor<'g>>,
}

/// The residuals of a [`controlnet`](super::controlnet), to add to a UNet.
pub struct Residuals<'g> {
    /// Residuals of the skip connections, outermost first.
    pub skips: Vec<Tensor<'g>>,
    /// Residual of the mid block.
    pub middle: Tensor<'g>,
}

/// The UNet: the prediction (noise, velocity or sample) `[B, h, w, C]` for a noisy `sample`
/// `[B, h, w, I]`. The sums of all `controls` are added to the skip connections and the mid block (see
/// [`controlnet`](super::controlnet)).
pub fn unet<'g>(
    m: &Scope<'g>,
    outline: &Outline,
    sample: Tensor<'g>,
    conditioning: Conditioning<'g>,
    controls: &[Residuals<'g>],
) -> Tensor<'g> {
    let time = conditioning.time(m, outline);
    let x = m.conv("conv_in", sample).tap(&m.at("conv_in"));
    let Contracted { mut middle, mut skips } = contract(m, outline, x, time, conditioning.context);
    for (index, control) in controls.iter().enumerate() {
        if control.skips.len() != skips.len() {
            let (name, expected, got) =
                (numbered(CONTROL, index), skips.len(), control.skips.len());
            let message = format!("{name}: expected {expected} residuals, got {got}");
            m.fail(ErrorKind::Weights, message);
            return sample;
        }
    }
    let plus = |x: Tensor<'g>, residuals: &mut dyn Iterator<Item = Tensor<'g>>| {
        residuals.reduce(|sum, residual| sum + residual).map_or(x, |sum| x + sum)
    };
    for (at, skip) in skips.iter_mut().enumerate() {
        *skip = plus(*skip, &mut controls.iter().map(|control| control.skips[at]));
    }
    middle = plus(middle, &mut controls.iter().map(|control| control.middle));
    expand(m, outline, Contracted { middle, skips }, time, conditioning.context)
}

/// The down blocks and the mid block, from the output of `conv_in`.
pub(super) fn contract<'g>(
    m: &Scope<'g>,
    outline: &Outline,
    mut x: Tensor<'g>,
    time: Time<'g>,
    context: Tensor<'g>,
) -> Contracted<'g> {
    let Outline { groups, norm_epsilon, .. } = *outline;
    let time = Some(time);
    let attend = |m: &Scope<'g>, x: Tensor<'g>, level: usize| {
        transformer(m, x, context, style(outline, level, x.channels()))
    };
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
    Contracted { middle: x, skips }
}

/// The up blocks and the last convolution.
fn expand<'g>(
    m: &Scope<'g>,
    outline: &Outline,
    Contracted { middle: mut x, mut skips }: Contracted<'g>,
    time: Time<'g>,
    context: Tensor<'g>,
) -> Tensor<'g> {
    let Outline { groups, norm_epsilon, .. } = *outline;
    let levels = m.each("down_blocks").len();
    for (index, m) in m.each("up_blocks").iter().enumerate() {
        let level = levels.saturating_sub(1 + index);
        let attentions = m.each("attentions");
        for (index, block) in m.each("resnets").iter().enumerate() {
            let Some(skip) = skips.pop() else {
                block.fail(
                    ErrorKind::Weights,
                    "more ResBlocks in up_blocks than there are skip connections",
                );
                return x;
            };
            x = resnet(block, x.concat(skip), Some(time), groups, norm_epsilon);
            if let Some(attention) = attentions.get(index) {
                x = transformer(attention, x, context, style(outline, level, x.channels()));
            }
        }
        for block in m.each("upsamplers") {
            x = upsample(&block, x, skips.last().copied());
        }
    }
    let x = m.group_norm("conv_norm_out", x, groups, norm_epsilon).silu();
    conv3x3(m, "conv_out", x).tap(&m.at("conv_out"))
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
