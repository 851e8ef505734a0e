//! Autoencoders from files: diffusers folders, single files and TAESD's original files.

use super::network::AutoencoderNetwork;
use crate::error::{Error, ErrorKind, Result};
use crate::files::{Checkpoint, refuse_pickle};
use crate::models::autoencoder::AutoencoderConfig;
use crate::models::tiny_autoencoder::{TinyAutoencoderConfig, diffusers_names};
use crate::models::{ClassName, parse_config};
use crate::weights::{Source, Weights};

/// An autoencoder by itself, checked and not on a device yet: in place of a model's own
/// ([`Diffusion::set_autoencoder`](crate::diffusion::Diffusion::set_autoencoder)), or for previews
/// ([`Diffusion::set_preview_decoder`](crate::diffusion::Diffusion::set_preview_decoder)).
#[derive(Clone)]
pub struct Autoencoder {
    pub(super) network: AutoencoderNetwork,
    pub(super) weights: Weights,
    /// Whether the scaling factor of its latents is known.
    pub(super) scaled: bool,
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
        match class.class_name.as_str() {
            "AutoencoderKL" | "" => {
                let config: AutoencoderConfig = parse_config(file, config)?;
                config.check(file)?;
                let network = AutoencoderNetwork::Variational(config);
                Ok(Autoencoder { network, weights, scaled: true })
            }
            "AutoencoderTiny" => {
                let config: TinyAutoencoderConfig = parse_config(file, config)?;
                config.check(file)?;
                let weights = diffusers_names(weights)?;
                Ok(Autoencoder { network: AutoencoderNetwork::Tiny(config), weights, scaled: true })
            }
            other => {
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
        let network = AutoencoderNetwork::Tiny(TinyAutoencoderConfig::original(latents));
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
            return Self::from_bytes(path.display().to_string(), Source::open(path)?);
        }
        let file = path.join("config.json");
        let name = file.display().to_string();
        let text = crate::disk::read_small(&file).and_then(|bytes| {
            String::from_utf8(bytes)
                .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
        });
        let text = text.map_err(|error| {
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

    /// An autoencoder of one file in memory, such as TAESD's original files or a whole model's;
    /// `name` stands for the file in messages.
    ///
    /// # Errors
    /// `Unsupported` for a Python pickle; `Format` or `Weights` if the file is damaged or holds no
    /// autoencoder.
    pub fn from_bytes(name: impl Into<String>, source: impl Into<Source>) -> Result<Autoencoder> {
        let (name, source) = (name.into(), source.into());
        refuse_pickle(&name, &source)?;
        Self::single_file(&name, Weights::from_bytes(name.clone(), source)?)
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
        if let (AutoencoderNetwork::Variational(config), false) = (&mut self.network, self.scaled) {
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
