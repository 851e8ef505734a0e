//! Real-ESRGAN's compact network, `SRVGGNetCompact` (github.com/xinntao/Real-ESRGAN): a chain of
//! convolutions at the picture's own size and one pixel shuffle, whose result is added to the picture
//! upsampled by nearest neighbour.

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Scope, Tensor, WeightIndex};
use crate::kernels::pixel_shuffle::PixelShuffle;

/// The most convolutions of a network: published ones have up to 34.
const MOST_CONVOLUTIONS: usize = 1024;

/// What the weights' names and shapes show of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compact {
    /// The number of convolutions, of which all but the last are followed by a parametric ReLU.
    pub convolutions: usize,
    /// The factor by which height and width grow.
    pub scale: usize,
}

impl Compact {
    /// Reads the number of layers from the names, the factor from the last layer's shape.
    ///
    /// # Errors
    /// `Weights` if the last convolution's channels are no blocks of RGB pixels; `Unsupported` for
    /// networks of other pictures than RGB.
    pub fn of(weights: &dyn WeightIndex) -> Result<Compact> {
        let shape = |layer: usize| weights.shape(&format!("body.{layer}.weight"));
        // Convolutions and activations take turns.
        let convolutions =
            (0..MOST_CONVOLUTIONS).take_while(|number| shape(2 * number).is_some()).count();
        let inputs = shape(0).and_then(|shape| shape.get(1).copied()).unwrap_or(0);
        if inputs != 3 {
            let message = format!("body.0.weight: expected 3 input channels (RGB), got {inputs}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let last = 2 * convolutions.saturating_sub(1);
        let outputs = shape(last).and_then(|shape| shape.first().copied()).unwrap_or(0);
        match (1..=8).find(|scale| 3 * scale * scale == outputs) {
            Some(scale) => Ok(Compact { convolutions, scale }),
            None => {
                let message = format!(
                    "body.{last}.weight: expected 3·s² output channels for a factor s from 1 to 8, \
                     got {outputs}"
                );
                Err(Error::new(ErrorKind::Weights, message))
            }
        }
    }
}

/// The network: a picture `[N, H, W, 3]` in [0, 1] to `[N, s·H, s·W, 3]`.
pub fn upscale<'g>(m: &Scope<'g>, compact: Compact, image: Tensor<'g>) -> Tensor<'g> {
    let layers = m.at("body");
    let mut h = layers.conv("0", image);
    for number in 1..compact.convolutions {
        let activation = 2 * number - 1;
        h = layers.prelu(&activation.to_string(), h).tap(&layers.at(activation));
        h = layers.conv(&(activation + 1).to_string(), h);
    }
    m.mark();
    let shuffle = PixelShuffle { factor: compact.scale };
    m.builder().apply(shuffle, &[Some(h), Some(image)])
}
