//! Options shared by several commands.

use super::hub;
use super::samplers::SamplerOptions;
use super::terminal::say;
use clap::{Args, ValueEnum};
use croquis::Result;
use croquis::Storage;
use croquis::diffusion::{Model, Request, Tiling};
use croquis::files::ModelFiles;
use croquis::files::Prediction;
use croquis::gpu::{DeviceOptions, Gpu};
use std::path::{Path, PathBuf};

/// Options for the model and the picture.
#[derive(Args)]
pub struct ModelOptions {
    /// A model: a diffusers folder, a file (.safetensors, .gguf), or a name on the Hugging Face Hub
    /// (org/name, org/name@revision or org/name/file.safetensors) [default: the embedded model]
    #[arg(long, value_name = "DIR|FILE|NAME")]
    pub model: Option<PathBuf>,
    /// A UNet in place of the model's own, such as a quantised one (.gguf) or a fine-tuned one
    #[arg(long, value_name = "DIR|FILE|NAME", requires = "model")]
    pub unet: Option<PathBuf>,
    /// The weights to download where the hub has several [default: fp16 unless --storage f32]
    #[arg(long, value_enum, value_name = "VARIANT")]
    pub variant: Option<Variant>,
    /// Sampling steps [default: the model's]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub steps: Option<usize>,
    /// Guidance scale (CFG): how closely the picture follows the prompt; 1 is no guidance [default:
    /// the model's]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub guidance_scale: Option<f32>,
    /// Width in pixels [default: the model's]
    #[arg(long, value_name = "W")]
    pub width: Option<usize>,
    /// Height in pixels [default: the model's]
    #[arg(long, value_name = "H")]
    pub height: Option<usize>,
    #[command(flatten)]
    pub sampler: SamplerOptions,
    /// The network's prediction type, where a single file does not show it: epsilon, v_prediction
    /// or sample
    #[arg(long, value_name = "NAME")]
    pub prediction: Option<Prediction>,
    /// Tiles of the autoencoder: `auto`, `never`, or a tile's longest side in pixels
    #[arg(long, value_name = "auto|never|N", value_parser = parse_tiling, default_value = "auto")]
    pub tiles: Tiling,
}

/// The precision of the weights to download.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Variant {
    /// 16-bit floats: half the download
    Fp16,
    /// As published, mostly 32-bit floats
    Full,
}

fn parse_tiling(text: &str) -> Result<Tiling, String> {
    match (text, text.parse()) {
        ("auto", _) => Ok(Tiling::Auto),
        ("never", _) => Ok(Tiling::Never),
        (_, Ok(pixels)) => Ok(Tiling::Always(pixels)),
        _ => Err("expected auto, never or a number of pixels".into()),
    }
}

impl ModelOptions {
    /// Opens the model and checks it.
    pub fn open(&self, storage: StorageChoice) -> Result<Model> {
        let mut files = match &self.model {
            Some(model) => self.files(model, storage)?,
            None => embedded()?,
        };
        if let Some(unet) = &self.unet {
            let unet = self.files(unet, storage).map_err(|error| error.context("--unet"))?;
            files = files.with_unet_of(&unet).map_err(|error| error.context("--unet"))?;
        }
        if let Some(prediction) = self.prediction {
            files = files.with_prediction(prediction)?;
        }
        let mut model = Model::open(&files)?;
        model.set_tiling(self.tiles).map_err(|error| error.context("--tiles"))?;
        Ok(model)
    }

    /// Opens the model's files. A name is looked up on the hub only where no such path exists.
    fn files(&self, model: &Path, storage: StorageChoice) -> Result<ModelFiles> {
        let repository = model.to_str().and_then(|name| name.parse().ok());
        match repository.filter(|_| !model.exists()) {
            Some(repository) => {
                let half = match self.variant {
                    Some(variant) => variant == Variant::Fp16,
                    None => storage != StorageChoice::F32,
                };
                ModelFiles::open(hub::folder(&repository, half)?)
            }
            None => ModelFiles::open(model),
        }
    }

    /// The request for a prompt with these options, without a seed.
    pub fn request(&self, prompt: &str) -> Request {
        let mut request = Request {
            steps: self.steps,
            guidance_scale: self.guidance_scale,
            width: self.width,
            height: self.height,
            ..Request::new(prompt)
        };
        self.sampler.apply(&mut request);
        request
    }
}

#[cfg(feature = "embedded")]
fn embedded() -> Result<ModelFiles> {
    Ok(ModelFiles::embedded())
}

#[cfg(not(feature = "embedded"))]
fn embedded() -> Result<ModelFiles> {
    let message = "this croquis was built without the embedded model; give the folder of a \
                   diffusers model with --model DIR";
    Err(croquis::Error::new(croquis::ErrorKind::NotFound, message))
}

/// Options for the device and its storage type.
#[derive(Args)]
pub struct GpuOptions {
    /// The device: a position in the list of `croquis devices`, or a part of its name [default: the
    /// environment's CROQUIS_DEVICE, else the best]
    #[arg(long, value_name = "NAME|INDEX")]
    pub device: Option<String>,
    /// The storage type of weights and activations on the GPU
    #[arg(long, value_enum, default_value_t = StorageChoice::Auto)]
    pub storage: StorageChoice,
    /// The memory budget on the GPU, such as 6G; components that do not fit together are loaded in
    /// turn
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub memory: Option<u64>,
}

/// The storage type, or the automatic choice.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StorageChoice {
    /// The best type of the device
    Auto,
    /// 16-bit floats, where shaders can compute with them
    F16,
    /// Pairs of 16-bit floats in 32-bit words, on any GPU
    Packed,
    /// 32-bit floats
    F32,
}

impl StorageChoice {
    /// The chosen storage type; `None` for `auto`.
    pub fn storage(self) -> Option<Storage> {
        match self {
            StorageChoice::Auto => None,
            StorageChoice::F16 => Some(Storage::F16),
            StorageChoice::Packed => Some(Storage::Packed),
            StorageChoice::F32 => Some(Storage::F32),
        }
    }
}

impl GpuOptions {
    /// Opens the device and reports it.
    pub fn open(&self) -> Result<Gpu> {
        let storage = self.storage.storage();
        let device = self.device.clone();
        let pipeline_cache = super::caches::pipelines();
        let options = DeviceOptions { device, storage, pipeline_cache, ..Default::default() };
        let gpu = Gpu::open_blocking(&options)?;
        say(format!("device {}, storage {}", gpu.summary(), gpu.target().storage));
        Ok(gpu)
    }
}

/// The short name of a model: that of its folder.
pub fn short_name(model: &Model) -> String {
    let path = std::path::Path::new(model.name());
    // A file in the hub's cache is a link to a blob, whose name is a hash.
    let whole = path.canonicalize().ok().filter(|whole| whole.is_dir());
    hub::short_name(whole.as_deref().unwrap_or(path)).unwrap_or_else(|| model.name().into())
}

/// Parses an amount of memory: a number of bytes, or of K, M or G with an optional `iB` or `B`.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err("expected a number with K, M or G, such as 6G".into()),
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 && number * ((1u64 << shift) as f64) < 1e18 => {
            Ok((number * (1u64 << shift) as f64) as u64)
        }
        _ => Err("expected a positive number with K, M or G, such as 6G".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        for (text, bytes) in [
            ("512M", 512 << 20),
            ("6GiB", 6 << 30),
            ("1.5g", 3 << 29),
            ("99", 99),
            ("6442450944", 6 << 30),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "-1G", "6X", "0", "1e99G"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
