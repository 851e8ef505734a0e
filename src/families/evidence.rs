//! Names and shapes of a denoiser's weights.

use crate::graph::WeightIndex;
use crate::models::unet_network::text_width;

/// Names and shapes of a denoiser's weights, from which its family is recognised.
pub struct Evidence<'w>(pub &'w dyn WeightIndex);

impl Evidence<'_> {
    /// The names of the weights.
    pub fn names(&self) -> Vec<String> {
        self.0.names()
    }

    /// The shape of a weight.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.shape(name)
    }

    /// The width of the text embeddings that the cross-attention reads.
    pub fn text_width(&self) -> Option<usize> {
        text_width(self.0)
    }

    /// Whether there is an embedding that is added to that of the timestep, as in Stable Diffusion
    /// XL.
    pub fn has_added_embedding(&self) -> bool {
        self.0.shape("add_embedding.linear_1.weight").is_some()
    }
}
