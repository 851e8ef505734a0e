//! MobileDiffusion's UNet (Zhao et al., arXiv 2311.16567): the structure of [`unet`](super::unet)
//! with lighter blocks. No attention at the highest resolution, cross-attention only in the middle,
//! both at the core; one projection for keys and values; a feed-forward gated by Swish; separable
//! 3×3 convolutions where the weights have them; optionally ReLU attention in place of softmax
//! (Wortsman et al., arXiv 2309.08586).
//!
//! Neither the paper's weights nor its exact widths are public: the presets are a reconstruction.

use super::unet::{Heads, Outline};
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::activation::Function;
use crate::kernels::attention::Form;
use serde::Deserialize;

/// The keys of a `MobileDiffusionUNet`'s `config.json` that weight shapes do not show.
#[derive(Clone, Debug, Deserialize)]
pub struct MobileConfig {
    /// The default height and width of the latents.
    pub sample_size: usize,
    /// Channels of the input latents.
    pub in_channels: usize,
    /// The size of an attention head.
    pub attention_head_dim: usize,
    attention_activation: String,
    norm_num_groups: usize,
    norm_eps: f64,
    transformer_norm_eps: f64,
    layer_norm_eps: f64,
    flip_sin_to_cos: bool,
    freq_shift: f32,
}

impl MobileConfig {
    /// The UNet's hyperparameters by this configuration.
    ///
    /// # Errors
    /// `Config` naming the key, what was expected and what was found.
    pub fn outline(&self) -> Result<Outline> {
        let form = match self.attention_activation.as_str() {
            "softmax" => Form::Softmax,
            "relu" => Form::Relu,
            other => {
                let message = format!(
                    "unet/config.json: attention_activation: expected \"softmax\" or \"relu\", got {other:?}"
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
        };
        if self.attention_head_dim == 0 || self.norm_num_groups == 0 {
            return Err(Error::new(
                ErrorKind::Config,
                "unet/config.json: attention_head_dim and norm_num_groups must be at least 1",
            ));
        }
        Ok(Outline {
            heads: Heads::Size(self.attention_head_dim),
            groups: self.norm_num_groups,
            norm_epsilon: self.norm_eps,
            transformer_norm_epsilon: self.transformer_norm_eps,
            layer_norm_epsilon: self.layer_norm_eps,
            form,
            gate: Function::Silu,
            flip_sin_to_cos: self.flip_sin_to_cos,
            frequency_shift: self.freq_shift,
            size_embedding: None,
        })
    }
}
