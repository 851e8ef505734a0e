//! The networks of autoencoders: their graphs, and the scaling of latents and pictures around them.

use crate::error::{ErrorKind, Result};
use crate::graph::passes::fuse;
use crate::graph::{Builder, Graph, Scope};
use crate::kernels::pixels::Pixels;
use crate::models::autoencoder::{self, AutoencoderConfig};
use crate::models::tiny_autoencoder::{self, TinyAutoencoderConfig};
use crate::shape::TensorType;
use crate::weights::Weights;

/// The network of an autoencoder, with its configuration.
#[derive(Clone)]
pub(super) enum AutoencoderNetwork {
    /// diffusers' `AutoencoderKL`.
    Variational(AutoencoderConfig),
    /// diffusers' `AutoencoderTiny`: TAESD.
    Tiny(TinyAutoencoderConfig),
}

/// The direction in which an autoencoder runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Latents to a picture.
    Decode,
    /// A picture to latents.
    Encode,
}

impl AutoencoderNetwork {
    /// Channels of the latents.
    pub(super) fn channels(&self) -> usize {
        match self {
            AutoencoderNetwork::Variational(config) => config.latent_channels,
            AutoencoderNetwork::Tiny(config) => config.latent_channels,
        }
    }

    /// Pixels along one side of a latent.
    pub(super) fn pixels_per_latent(&self) -> usize {
        match self {
            AutoencoderNetwork::Variational(config) => config.pixels_per_latent(),
            AutoencoderNetwork::Tiny(config) => config.pixels_per_latent(),
        }
    }

    /// Whether the decoder's graph ends in pixels.
    pub(super) fn makes_pixels(&self) -> bool {
        matches!(self, AutoencoderNetwork::Variational(_))
    }

    /// Channels of the encoder's output: mean and log-variance, or the latents themselves.
    pub(super) fn moments(&self) -> usize {
        match self {
            AutoencoderNetwork::Variational(config) => 2 * config.latent_channels,
            AutoencoderNetwork::Tiny(config) => config.latent_channels,
        }
    }

    /// The decoder's graph from `latents` `[1, h, w, L]`, [unscaled](AutoencoderNetwork::unscale), to
    /// `image` `[1, H, W, 3]` (and, where it is in [-1, 1], its `pixels`), or the encoder's from
    /// `image` to `moments` `[1, h, w, …]`. Height and width are the latents'.
    pub(super) fn graph(
        &self,
        weights: &Weights,
        direction: Direction,
        [height, width]: [usize; 2],
    ) -> Result<Graph> {
        let builder = Builder::new();
        let m = Scope::new(&builder, "vae", weights);
        let latents = || {
            let shape = TensorType::real([1, height, width, self.channels()]);
            builder.input("latents", shape)
        };
        let pixels = || {
            let side = self.pixels_per_latent();
            builder.input("image", TensorType::real([1, height * side, width * side, 3]))
        };
        match (self, direction) {
            (AutoencoderNetwork::Variational(config), Direction::Decode) => {
                let image = autoencoder::decode(&m, config, latents());
                builder.output("image", image);
                m.mark();
                builder.output("pixels", builder.apply(Pixels {}, &[Some(image)]));
            }
            (AutoencoderNetwork::Tiny(config), Direction::Decode) => {
                builder.output("image", tiny_autoencoder::decode(&m, config, latents()));
            }
            (_, Direction::Encode) => {
                let moments = match self {
                    AutoencoderNetwork::Variational(config) => {
                        autoencoder::encode(&m, config, pixels())
                    }
                    AutoencoderNetwork::Tiny(config) => {
                        tiny_autoencoder::encode(&m, config, pixels())
                    }
                };
                let (got, expected) = (moments.channels(), self.moments());
                if got != expected {
                    let message = format!("moments: expected {expected} channels, got {got}");
                    m.fail(ErrorKind::Weights, message);
                }
                builder.output("moments", moments);
            }
        }
        Ok(fuse(builder.finish()?))
    }

    /// Latents `[…, L]` of the UNet with the scaling factor removed, for the decoder.
    pub(super) fn unscale(&self, latents: &[f32]) -> Vec<f32> {
        let mut latents = latents.to_vec();
        match self {
            AutoencoderNetwork::Variational(config) => config.unscale(&mut latents),
            AutoencoderNetwork::Tiny(config) => config.unscale(&mut latents),
        }
        latents
    }

    /// The decoder's output scaled to [-1, 1].
    pub(super) fn to_unit_range(&self, mut image: Vec<f32>) -> Vec<f32> {
        if let AutoencoderNetwork::Tiny(_) = self {
            image.iter_mut().for_each(|value| *value = *value * 2.0 - 1.0);
        }
        image
    }

    /// A picture `[H, W, 3]` in [-1, 1] scaled to the range of the encoder's input.
    pub(super) fn image_of(&self, pixels: &[f32]) -> Vec<f32> {
        match self {
            AutoencoderNetwork::Variational(_) => pixels.to_vec(),
            AutoencoderNetwork::Tiny(_) => pixels.iter().map(|value| 0.5 * value + 0.5).collect(),
        }
    }

    /// Whether latents are drawn from a distribution, so that encoding takes noise.
    pub(super) fn draws_noise(&self) -> bool {
        matches!(self, AutoencoderNetwork::Variational(_))
    }

    /// The encoder's output as latents `[…, L]` for the UNet: mean + deviation · `noise`.
    pub(super) fn sample(&self, moments: Vec<f32>, noise: &[f32]) -> Vec<f32> {
        match self {
            AutoencoderNetwork::Tiny(config) => {
                let mut latents = moments;
                config.scale(&mut latents);
                latents
            }
            AutoencoderNetwork::Variational(config) => {
                let channels = config.latent_channels;
                let pixels = moments.chunks_exact(2 * channels).zip(noise.chunks_exact(channels));
                let mut latents = Vec::with_capacity(noise.len());
                for (moments, noise) in pixels {
                    let (mean, log_variance) = moments.split_at(channels);
                    let deviation = |v: &f32| (0.5 * v.clamp(-30.0, 20.0)).exp();
                    let terms = mean.iter().zip(log_variance).zip(noise);
                    latents.extend(terms.map(|((mean, v), z)| mean + deviation(v) * z));
                }
                config.scale(&mut latents);
                latents
            }
        }
    }
}
