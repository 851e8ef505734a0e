//! ESRGAN's generator of residual in residual dense blocks (Wang et al., arXiv 1809.00219, figure 4),
//! as ESRGAN, BSRGAN and Real-ESRGAN (Wang et al., arXiv 2107.10833) have it. Real-ESRGAN's networks
//! for a factor of 2 and 1 are those for 4 on pixels that were unshuffled. ESRGAN+ (Rakotonirina &
//! Rasoanaivo, arXiv 2001.08073) adds residuals inside the dense blocks.
//!
//! Layers have the names of Real-ESRGAN's files.

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Scope, Tensor, WeightIndex};
use crate::kernels::activation::Function;
use crate::kernels::pixel_unshuffle::PixelUnshuffle;

/// The factor of every residual.
const RESIDUAL: f32 = 0.2;

/// The most times that a network doubles a picture's sides.
const MOST_DOUBLINGS: usize = 4;

/// What the weights' shapes show of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Esrgan {
    /// The side of the blocks of pixels that become channels first: 1, 2 or 4.
    pub unshuffle: usize,
    /// The number of times that height and width are doubled after the blocks.
    pub doublings: usize,
}

impl Esrgan {
    /// Reads the factors from the shapes of the first and the number of the upsampling layers.
    ///
    /// # Errors
    /// `Unsupported` for networks of other pictures than RGB, or that reduce them.
    pub fn of(weights: &dyn WeightIndex) -> Result<Esrgan> {
        let channels = |name: &str, axis: usize| {
            weights.shape(name).and_then(|shape| shape.get(axis).copied()).unwrap_or(0)
        };
        let unsupported = |message: String| Err(Error::new(ErrorKind::Unsupported, message));
        let unshuffle = match channels("conv_first.weight", 1) {
            3 => 1,
            12 => 2,
            48 => 4,
            got => {
                return unsupported(format!(
                    "conv_first.weight: expected 3 input channels (RGB), or 12 or 48 (of blocks of \
                     pixels), got {got}"
                ));
            }
        };
        let outputs = channels("conv_last.weight", 0);
        if outputs != 3 {
            let message =
                format!("conv_last.weight: expected 3 output channels (RGB), got {outputs}");
            return unsupported(message);
        }
        let layer = |number: usize| weights.shape(&format!("conv_up{number}.weight"));
        let doublings = (1..=MOST_DOUBLINGS).take_while(|number| layer(*number).is_some()).count();
        if 1 << doublings < unshuffle {
            return unsupported(format!(
                "expected a network that does not reduce pictures, got blocks of \
                 {unshuffle}x{unshuffle} pixels that are doubled {doublings} times"
            ));
        }
        Ok(Esrgan { unshuffle, doublings })
    }

    /// The factor by which height and width grow.
    pub fn scale(&self) -> usize {
        (1 << self.doublings) / self.unshuffle
    }
}

/// The network: a picture `[N, H, W, 3]` in [0, 1] to `[N, s·H, s·W, 3]`. H and W are multiples of the
/// [side](Esrgan::unshuffle) of blocks.
pub fn upscale<'g>(m: &Scope<'g>, esrgan: Esrgan, image: Tensor<'g>) -> Tensor<'g> {
    let x = match esrgan.unshuffle {
        1 => image,
        factor => m.builder().apply(PixelUnshuffle { factor }, &[Some(image)]),
    };
    let first = m.conv("conv_first", x).tap(&m.at("conv_first"));
    let mut h = first;
    for m in m.each("body") {
        h = block(&m, h);
    }
    h = (m.conv("conv_body", h) + first).tap(&m.at("conv_body"));
    for number in 1..=esrgan.doublings {
        let name = format!("conv_up{number}");
        h = m.conv(&name, h.upsample(None)).activation(Function::LeakyRelu).tap(&m.at(name));
    }
    h = m.conv("conv_hr", h).activation(Function::LeakyRelu).tap(&m.at("conv_hr"));
    m.conv("conv_last", h).tap(&m.at("conv_last"))
}

/// A residual in residual dense block: three dense blocks.
fn block<'g>(m: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let dense = ["rdb1", "rdb2", "rdb3"];
    let h = dense.into_iter().fold(x, |h, name| dense_block(&m.at(name), h));
    x.plus_scaled(RESIDUAL, h).tap(m)
}

/// A dense block: five convolutions, each of which reads the results of all before.
fn dense_block<'g>(m: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let grow = |name: &str, x| m.conv(name, x).activation(Function::LeakyRelu);
    let plus = m.has("conv1x1");
    let mut all = x.concat(grow("conv1", x));
    let mut second = grow("conv2", all);
    if plus {
        second = second + m.conv("conv1x1", x);
    }
    all = all.concat(second);
    all = all.concat(grow("conv3", all));
    let mut fourth = grow("conv4", all);
    if plus {
        fourth = fourth + second;
    }
    x.plus_scaled(RESIDUAL, m.conv("conv5", all.concat(fourth))).tap(m)
}
