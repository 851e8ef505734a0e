//! Tiny autoencoders distilled from the large ones: TAESD and its variants (Ollin Boer Bohan,
//! github.com/madebyollin/taesd; diffusers' `AutoencoderTiny`). They consist of convolutions and
//! ReLU, without norms and attention: for previews and for devices with little memory.
//!
//! They encode to and decode from the UNet's latents, without a scaling factor (it is 1 in their
//! configuration). The encoder's output has no variance, so encoding draws no noise.

use super::config::{Supported, require_supported};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Scope, Tensor};
use crate::kernels::activation::Function;
use crate::weights::{View, Weights};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The keys of an `AutoencoderTiny`'s `config.json` that weight shapes do not show.
#[derive(Clone, Debug, Deserialize)]
pub struct TinyAutoencoderConfig {
    /// Channels of the latents.
    #[serde(default = "default_latents")]
    pub latent_channels: usize,
    /// Divisor of the UNet's latents before decoding.
    #[serde(default = "default_scaling")]
    pub scaling_factor: f32,
    /// Residual blocks of each level of the encoder; each level but the first halves height and
    /// width on entry.
    #[serde(default = "default_encoder")]
    pub num_encoder_blocks: Vec<usize>,
    /// Residual blocks of each level of the decoder; each level but the last doubles height and
    /// width at its end.
    #[serde(default = "default_decoder")]
    pub num_decoder_blocks: Vec<usize>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

fn default_latents() -> usize {
    4
}
fn default_scaling() -> f32 {
    1.0
}
fn default_encoder() -> Vec<usize> {
    vec![1, 3, 3, 3]
}
fn default_decoder() -> Vec<usize> {
    vec![3, 3, 3, 1]
}

/// Keys that change the computation, and their supported values.
const SUPPORTED: [Supported; 4] = [
    ("act_fn", &["\"relu\""]),
    ("upsample_fn", &["\"nearest\""]),
    ("upsampling_scaling_factor", &["2"]),
    ("shift_factor", &["0.0", "0"]),
];

impl TinyAutoencoderConfig {
    /// The configuration of the original files, which come without one, with a number of latent
    /// channels: 4 for TAESD and TAESDXL.
    pub fn original(latent_channels: usize) -> Self {
        TinyAutoencoderConfig {
            latent_channels,
            scaling_factor: default_scaling(),
            num_encoder_blocks: default_encoder(),
            num_decoder_blocks: default_decoder(),
            others: Map::new(),
        }
    }

    /// Checks the values that encoder and decoder depend on; `file` is the configuration's name for
    /// messages.
    ///
    /// # Errors
    /// `Config` or `Unsupported`, naming the key.
    pub fn check(&self, file: &str) -> Result<()> {
        let levels = [
            ("num_decoder_blocks", &self.num_decoder_blocks),
            ("num_encoder_blocks", &self.num_encoder_blocks),
        ];
        for (key, blocks) in levels {
            let same = blocks.len() == self.num_decoder_blocks.len();
            if !same || !(1..=8).contains(&blocks.len()) || blocks.iter().any(|count| *count > 64) {
                let message = format!(
                    "{file}: {key}: expected 1 to 8 levels, as many in both directions, of at most \
                     64 blocks, got {blocks:?}"
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
        }
        if !(self.scaling_factor.is_finite() && self.scaling_factor != 0.0) {
            let message = format!("{file}: scaling_factor must not be {}", self.scaling_factor);
            return Err(Error::new(ErrorKind::Config, message));
        }
        require_supported(file, &self.others, &SUPPORTED)
    }

    /// Pixels along one side of a latent: 8 for TAESD.
    pub fn pixels_per_latent(&self) -> usize {
        1 << (self.num_decoder_blocks.len() - 1)
    }

    /// Converts latents of the UNet to the input of [`decode`]: 3·tanh(z/3), a soft clamp to
    /// [-3, 3].
    pub fn unscale(&self, latents: &mut [f32]) {
        for value in latents {
            *value = (*value / self.scaling_factor / 3.0).tanh() * 3.0;
        }
    }

    /// Converts the output of [`encode`] to latents of the UNet.
    pub fn scale(&self, latents: &mut [f32]) {
        latents.iter_mut().for_each(|value| *value *= self.scaling_factor);
    }
}

/// The decoder: [unscaled](TinyAutoencoderConfig::unscale) latents `[N, h, w, L]` to a picture
/// `[N, H, W, 3]` in about [0, 1].
pub fn decode<'g>(
    m: &Scope<'g>,
    config: &TinyAutoencoderConfig,
    latents: Tensor<'g>,
) -> Tensor<'g> {
    m.ignore("encoder.");
    let m = m.at("decoder.layers");
    let mut x = m.conv("0", latents).activation(Function::Relu).tap(&m.at(1));
    // Indices in PyTorch's `Sequential`, which also counts ReLU and upsampling.
    let mut layer = 2;
    for (level, blocks) in config.num_decoder_blocks.iter().enumerate() {
        for index in layer..layer + blocks {
            x = block(&m.at(index), x);
        }
        layer += blocks;
        if level + 1 < config.num_decoder_blocks.len() {
            x = x.upsample(None);
            layer += 1;
        }
        x = m.conv(&layer.to_string(), x).tap(&m.at(layer));
        layer += 1;
    }
    x
}

/// The encoder: a picture `[N, H, W, 3]` in [0, 1] to its latents `[N, h, w, L]`.
pub fn encode<'g>(m: &Scope<'g>, config: &TinyAutoencoderConfig, image: Tensor<'g>) -> Tensor<'g> {
    m.ignore("decoder.");
    let m = m.at("encoder.layers");
    let (mut x, mut layer) = (image, 0);
    for (level, blocks) in config.num_encoder_blocks.iter().enumerate() {
        let stride = if level == 0 { 1 } else { 2 };
        x = m.conv_with(&layer.to_string(), x, stride, [1; 4]).tap(&m.at(layer));
        layer += 1;
        for index in layer..layer + blocks {
            x = block(&m.at(index), x);
        }
        layer += blocks;
    }
    m.conv(&layer.to_string(), x).tap(&m.at(layer))
}

/// A residual block: relu(conv(relu(conv(relu(conv(x))))) + x), with a 1×1 convolution of x in the
/// sum where the number of channels changes.
fn block<'g>(m: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let h = m.conv("conv.0", x).activation(Function::Relu);
    let h = m.conv("conv.2", h).activation(Function::Relu);
    let skip = if m.has("skip") { m.conv("skip", x) } else { x };
    (m.conv("conv.4", h) + skip).activation(Function::Relu).tap(m)
}

/// Renames weights of TAESD to diffusers' names, from diffusers' files or the original ones:
/// `taesd_encoder.safetensors` has `0.weight`, `1.conv.0.weight`, …, and
/// `taesd_decoder.safetensors` the same from 1 on, since its layer 0 is the clamp.
///
/// # Errors
/// `Weights` if the names are of neither.
pub fn diffusers_names(weights: Weights) -> Result<Weights> {
    let starts = |name: &str, prefix: &str| name.starts_with(prefix);
    if weights
        .names()
        .any(|name| starts(name, "decoder.layers.") || starts(name, "encoder.layers."))
    {
        return Ok(weights);
    }
    let encoder = weights.shape("0.weight").is_some();
    if !encoder && weights.shape("1.weight").is_none() {
        let first = weights.names().next().unwrap_or("none").to_string();
        let message = format!(
            "these are not the weights of a tiny autoencoder: expected decoder.layers.0.weight, \
             encoder.layers.0.weight, 0.weight or 1.weight, got {first} and others"
        );
        return Err(Error::new(ErrorKind::Weights, message));
    }
    weights.map_names(|name, _| {
        let (layer, rest) = name.split_once('.').unwrap_or((name, ""));
        let new = match layer.parse::<usize>() {
            Ok(layer) if encoder => format!("encoder.layers.{layer}.{rest}"),
            Ok(layer @ 1..) => format!("decoder.layers.{}.{rest}", layer - 1),
            // Kept, so that the error about unused weights names it.
            _ => name.to_string(),
        };
        vec![(new, View::Whole)]
    })
}
