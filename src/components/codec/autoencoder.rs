//! An autoencoder as it was read: which network it is, and the arithmetic around it.

use crate::error::{Error, ErrorKind, Result};
use crate::files::{Checkpoint, refuse_pickle};
use crate::graph::passes::fuse;
use crate::graph::{Builder, Graph, Scope};
use crate::kernels::pixels::Pixels;
use crate::models::autoencoder::{self, AutoencoderConfig};
use crate::models::parse_config;
use crate::models::tiny_autoencoder::{self, TinyAutoencoderConfig, diffusers_names};
use crate::shape::TensorType;
use crate::weights::Weights;
use serde::Deserialize;

/// An autoencoder by itself, checked and not on a device yet: in place of a model's own
/// ([`Diffusion::set_autoencoder`](crate::diffusion::Diffusion::set_autoencoder)), or for previews
/// ([`Diffusion::set_preview_decoder`](crate::diffusion::Diffusion::set_preview_decoder)).
#[derive(Clone)]
pub struct Autoencoder {
    pub(super) network: Network,
    pub(super) weights: Weights,
    /// Whether it is known by which factor its latents are scaled.
    pub(super) scaled: bool,
}

/// Which network, with its configuration.
#[derive(Clone)]
pub(super) enum Network {
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

#[derive(Deserialize)]
struct ClassName {
    #[serde(rename = "_class_name", default)]
    class_name: Option<String>,
}

impl Autoencoder {
    /// From the text of a `config.json` and the weights beside it, under diffusers' names or those
    /// of the original TAESD; `file` names the configuration in messages.
    ///
    /// # Errors
    /// `Config`, `Unsupported` or `Weights`, naming file and key.
    #[doc(hidden)]
    pub fn from_parts(file: &str, config: &str, weights: Weights) -> Result<Autoencoder> {
        let class: ClassName = parse_config(file, config)?;
        match class.class_name.as_deref() {
            Some("AutoencoderKL") | None => {
                let config: AutoencoderConfig = parse_config(file, config)?;
                config.check(file)?;
                let network = Network::Variational(config);
                Ok(Autoencoder { network, weights, scaled: true })
            }
            Some("AutoencoderTiny") => {
                let config: TinyAutoencoderConfig = parse_config(file, config)?;
                config.check(file)?;
                let weights = diffusers_names(weights)?;
                Ok(Autoencoder { network: Network::Tiny(config), weights, scaled: true })
            }
            Some(other) => {
                let message = format!(
                    "{file}: _class_name: expected \"AutoencoderKL\" or \"AutoencoderTiny\", got \
                     {other:?}"
                );
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        }
    }

    /// TAESD or TAESDXL from its original files, `taesd_decoder.safetensors` and, for pictures to
    /// start from, `taesd_encoder.safetensors`. They come without a configuration.
    ///
    /// # Errors
    /// `Weights` if a file is something else, or two of them are the same half.
    #[doc(hidden)]
    pub fn tiny(files: impl IntoIterator<Item = Weights>) -> Result<Autoencoder> {
        let mut merged: Option<Weights> = None;
        for file in files {
            let file = diffusers_names(file)?;
            merged = Some(match merged {
                Some(before) => before.merge(file)?,
                None => file,
            });
        }
        let weights = merged.ok_or_else(|| {
            Error::new(ErrorKind::Argument, "a tiny autoencoder: expected a file, got none")
        })?;
        let channels = |name: &str, axis: usize| weights.shape(name)?.get(axis).copied();
        let latents = channels("decoder.layers.0.weight", 1)
            .or_else(|| channels("encoder.layers.14.weight", 0))
            .ok_or_else(|| {
                let message = "a tiny autoencoder: expected the weight decoder.layers.0.weight or \
                               encoder.layers.14.weight, got neither";
                Error::new(ErrorKind::Weights, message)
            })?;
        let network = Network::Tiny(TinyAutoencoderConfig::original(latents));
        Ok(Autoencoder { network, weights, scaled: true })
    }

    /// From a folder with `config.json` and `diffusion_pytorch_model.safetensors`, an original
    /// file of TAESD, or a single file as [`single_file`](Autoencoder::single_file) takes it.
    ///
    /// # Errors
    /// `NotFound`, `Io`, `Format`, or as [`from_parts`](Autoencoder::from_parts),
    /// [`tiny`](Autoencoder::tiny) and [`single_file`](Autoencoder::single_file).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<Autoencoder> {
        let path = path.as_ref();
        if !path.is_dir() {
            let (name, source) = (path.display().to_string(), crate::weights::Source::map(path)?);
            refuse_pickle(&name, source.as_ref())?;
            return Self::single_file(&name, Weights::from_bytes(name.clone(), source)?);
        }
        let file = path.join("config.json");
        let name = file.display().to_string();
        let text = std::fs::read_to_string(&file).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Io,
            };
            Error::new(kind, format!("{name} cannot be read")).with_source(error)
        })?;
        let weights = ["safetensors", "fp16.safetensors"]
            .map(|end| path.join(format!("diffusion_pytorch_model.{end}")));
        let found = weights.iter().find(|path| path.is_file()).unwrap_or(&weights[0]);
        Autoencoder::from_parts(&name, &text, Weights::open(found)?)
    }

    /// From the tensors of one file without a configuration: an autoencoder by itself or a whole
    /// model's, in the original layout or under diffusers' names, or one of TAESD's. `name`
    /// stands for the file in messages.
    ///
    /// An autoencoder by itself does not show by which factor its latents are scaled: it takes
    /// that of the model in which it is used.
    ///
    /// # Errors
    /// `Weights`, `Format` or `Unsupported` if it holds no such autoencoder, as
    /// [`Checkpoint::new`] and [`tiny`](Autoencoder::tiny).
    #[doc(hidden)]
    pub fn single_file(name: &str, weights: Weights) -> Result<Autoencoder> {
        if is_tiny(&weights) {
            return Autoencoder::tiny([weights]).map_err(|error| error.context(name));
        }
        let mut checkpoint = Checkpoint::new(name, weights)?;
        let file = "vae/config.json";
        let (Some(weights), Some(config)) =
            (checkpoint.weights.remove("vae"), checkpoint.texts.remove(file))
        else {
            let there: Vec<&str> = checkpoint.weights.keys().map(String::as_str).collect();
            let message = format!("{name}: expected an autoencoder, found {}", there.join(", "));
            return Err(Error::new(ErrorKind::Weights, message));
        };
        let config = String::from_utf8_lossy(&config);
        let autoencoder = Self::from_parts(&format!("{name}: {file}"), &config, weights)?;
        Ok(Autoencoder { scaled: checkpoint.kind.is_some(), ..autoencoder })
    }

    /// The same autoencoder, its latents scaled by a factor unless it has one of its own.
    pub(super) fn scaled_by(mut self, factor: f32) -> Autoencoder {
        if let (Network::Variational(config), false) = (&mut self.network, self.scaled) {
            config.scaling_factor = factor;
            self.scaled = true;
        }
        self
    }
}

/// Whether a file is one of TAESD's, whose layers are counted through: `decoder.layers.0.weight`,
/// or `0.weight`.
fn is_tiny(weights: &Weights) -> bool {
    weights.names().any(|name| {
        let layer = name.split('.').next().unwrap_or_default();
        let counted = layer.bytes().all(|byte| byte.is_ascii_digit()) && !layer.is_empty();
        counted || ["decoder.layers.", "encoder.layers."].iter().any(|s| name.starts_with(s))
    })
}

impl Network {
    /// Channels of the latents.
    pub(super) fn channels(&self) -> usize {
        match self {
            Network::Variational(config) => config.latent_channels,
            Network::Tiny(config) => config.latent_channels,
        }
    }

    /// Pixels along one side of a latent.
    pub(super) fn pixels_per_latent(&self) -> usize {
        match self {
            Network::Variational(config) => config.pixels_per_latent(),
            Network::Tiny(config) => config.pixels_per_latent(),
        }
    }

    /// Whether the decoder's graph ends in pixels.
    pub(super) fn makes_pixels(&self) -> bool {
        matches!(self, Network::Variational(_))
    }

    /// Channels of what the encoder makes: mean and log-variance, or the latents themselves.
    pub(super) fn moments(&self) -> usize {
        match self {
            Network::Variational(config) => 2 * config.latent_channels,
            Network::Tiny(config) => config.latent_channels,
        }
    }

    /// The decoder's graph from `latents` `[1, h, w, L]`, [unscaled](Network::unscale), to
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
            (Network::Variational(config), Direction::Decode) => {
                let image = autoencoder::decode(&m, config, latents());
                builder.output("image", image);
                m.mark();
                builder.output("pixels", builder.apply(Pixels {}, &[Some(image)]));
            }
            (Network::Tiny(config), Direction::Decode) => {
                builder.output("image", tiny_autoencoder::decode(&m, config, latents()));
            }
            (_, Direction::Encode) => {
                let moments = match self {
                    Network::Variational(config) => autoencoder::encode(&m, config, pixels()),
                    Network::Tiny(config) => tiny_autoencoder::encode(&m, config, pixels()),
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

    /// Latents `[…, L]` of the UNet as the decoder reads them.
    pub(super) fn unscale(&self, latents: &[f32]) -> Vec<f32> {
        let mut latents = latents.to_vec();
        match self {
            Network::Variational(config) => config.unscale(&mut latents),
            Network::Tiny(config) => config.unscale(&mut latents),
        }
        latents
    }

    /// What the decoder made, in [-1, 1].
    pub(super) fn to_unit_range(&self, mut image: Vec<f32>) -> Vec<f32> {
        if let Network::Tiny(_) = self {
            image.iter_mut().for_each(|value| *value = *value * 2.0 - 1.0);
        }
        image
    }

    /// A picture `[H, W, 3]` in [-1, 1] as the encoder reads it.
    pub(super) fn image_of(&self, pixels: &[f32]) -> Vec<f32> {
        match self {
            Network::Variational(_) => pixels.to_vec(),
            Network::Tiny(_) => pixels.iter().map(|value| 0.5 * value + 0.5).collect(),
        }
    }

    /// Whether latents are drawn from a distribution, so that encoding takes noise.
    pub(super) fn draws_noise(&self) -> bool {
        matches!(self, Network::Variational(_))
    }

    /// What the encoder made as latents `[…, L]` for the UNet: mean + deviation · `noise`.
    pub(super) fn sample(&self, moments: Vec<f32>, noise: &[f32]) -> Vec<f32> {
        match self {
            Network::Tiny(config) => {
                let mut latents = moments;
                config.scale(&mut latents);
                latents
            }
            Network::Variational(config) => {
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
