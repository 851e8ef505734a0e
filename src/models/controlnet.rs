//! ControlNet (Zhang et al., arXiv 2302.05543; diffusers' `ControlNetModel`): a copy of the UNet's
//! down and mid blocks that also reads a conditioning picture, such as edges. Its outputs are added
//! to the UNet's skip connections and mid block.

use super::unet::{Conditioning, Contracted, Outline, Residuals, contract};
use crate::graph::{Scope, Tensor};
use crate::kernels::scale::Scale;
use crate::kernels::scheduler_step::slot;

/// The ControlNet: residuals for a noisy `sample` `[B, h, w, C]` and a conditioning `picture`
/// `[B, H, W, 3]` in [0, 1], times the scale of ControlNet number `index` in the step's scalars.
pub fn controlnet<'g>(
    m: &Scope<'g>,
    outline: &Outline,
    sample: Tensor<'g>,
    picture: Tensor<'g>,
    conditioning: Conditioning<'g>,
    index: usize,
) -> Residuals<'g> {
    let time = conditioning.time(m, outline);
    let picture = embed(&m.at("controlnet_cond_embedding"), picture);
    let x = m.conv("conv_in", sample).tap(&m.at("conv_in")) + picture;
    let Contracted { middle, skips } = contract(m, outline, x, time, conditioning.context);
    let scaled = |m: Scope<'g>, x: Tensor<'g>| {
        let x = m.linear("", x);
        m.builder()
            .apply(Scale { index: slot::CONTROL + index }, &[Some(x), Some(conditioning.step)])
            .tap(&m)
    };
    let blocks = m.each("controlnet_down_blocks");
    Residuals {
        skips: blocks.into_iter().zip(skips).map(|(block, skip)| scaled(block, skip)).collect(),
        middle: scaled(m.at("controlnet_mid_block"), middle),
    }
}

/// The conditioning embedding: convolutions that reduce the picture to the size of the latents;
/// every second one halves it.
fn embed<'g>(m: &Scope<'g>, picture: Tensor<'g>) -> Tensor<'g> {
    let mut x = m.conv("conv_in", picture).silu();
    for (index, block) in m.each("blocks").into_iter().enumerate() {
        let stride = 1 + index % 2;
        x = block.conv_with("", x, stride, [1; 4]).silu();
    }
    m.conv("conv_out", x).tap(m)
}
