//! Networks that enlarge pictures: ESRGAN's and the compact one of Real-ESRGAN, recognised by the
//! names of their weights.

mod foreign;
mod names;

use super::compact::{self, Compact};
use super::esrgan::{self, Esrgan};
use crate::error::Result;
use crate::graph::{Scope, Tensor};
use crate::weights::Weights;

/// A network that enlarges pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpscalerNetwork {
    /// ESRGAN, BSRGAN, Real-ESRGAN, ESRGAN+.
    Esrgan(Esrgan),
    /// Real-ESRGAN's compact network.
    Compact(Compact),
}

impl UpscalerNetwork {
    /// Recognises a network and gives its weights the names that [`upscale`](UpscalerNetwork::upscale)
    /// reads: those of Real-ESRGAN's files.
    ///
    /// # Errors
    /// `Unsupported` for other networks, with the name of what the file looks like; `Weights` if it is
    /// incomplete.
    pub fn of(weights: Weights) -> Result<(UpscalerNetwork, Weights)> {
        let weights = names::canonical(weights)?;
        let has = |name: &str| weights.shape(name).is_some();
        let esrgan = ["conv_first.weight", "body.0.rdb1.conv1.weight", "conv_last.weight"];
        let network = if esrgan.into_iter().all(has) {
            UpscalerNetwork::Esrgan(Esrgan::of(&weights)?)
        } else if has("body.0.weight") && has("body.1.weight") {
            UpscalerNetwork::Compact(Compact::of(&weights)?)
        } else {
            return Err(foreign::refuse(&weights));
        };
        Ok((network, weights))
    }

    /// The name of the architecture.
    pub fn name(&self) -> &'static str {
        match self {
            UpscalerNetwork::Esrgan(_) => "ESRGAN",
            UpscalerNetwork::Compact(_) => "Real-ESRGAN compact",
        }
    }

    /// The factor by which height and width grow.
    pub fn scale(&self) -> usize {
        match self {
            UpscalerNetwork::Esrgan(esrgan) => esrgan.scale(),
            UpscalerNetwork::Compact(compact) => compact.scale,
        }
    }

    /// The side in pixels of the cells in which the network works: pictures are padded to whole ones.
    pub fn cell(&self) -> usize {
        match self {
            UpscalerNetwork::Esrgan(esrgan) => esrgan.unshuffle,
            UpscalerNetwork::Compact(_) => 1,
        }
    }

    /// The cells at a border of the picture whose results depend on what lies beyond it: of the
    /// compact network all, one for each convolution. ESRGAN's reach is hundreds of cells (15 a block),
    /// of which those farther away than this count for little.
    pub fn margin(&self) -> usize {
        const ESRGAN: usize = 16;
        match self {
            UpscalerNetwork::Esrgan(_) => ESRGAN,
            UpscalerNetwork::Compact(compact) => compact.convolutions,
        }
    }

    /// The network: a picture `[N, H, W, 3]` in [0, 1], of whole [cells](UpscalerNetwork::cell), to
    /// `[N, s·H, s·W, 3]`.
    pub fn upscale<'g>(&self, m: &Scope<'g>, image: Tensor<'g>) -> Tensor<'g> {
        match self {
            UpscalerNetwork::Esrgan(esrgan) => esrgan::upscale(m, *esrgan, image),
            UpscalerNetwork::Compact(compact) => compact::upscale(m, *compact, image),
        }
    }
}
