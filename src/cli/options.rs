//! Options that several commands share.

use super::hub;
use super::terminal::say;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use croquis::Result;
use croquis::diffusion::{Model, ModelFiles, Request};
use croquis::gpu::{DeviceOptions, Gpu};
use croquis::schedulers::SchedulerKind;
use croquis::shape::Storage;
use std::path::PathBuf;

/// The model and what it is asked for.
#[derive(Args)]
pub struct ModelOptions {
    /// A model: a diffusers folder, a file (.safetensors, .gguf), or a name on the Hugging Face Hub
    /// (org/name or org/name@revision); without it the embedded model draws
    #[arg(long, value_name = "DIR|FILE|NAME")]
    pub model: Option<PathBuf>,
    /// The weights to download where the hub has several [default: fp16 unless --storage f32]
    #[arg(long, value_enum, value_name = "VARIANT")]
    pub variant: Option<Variant>,
    /// Sampling steps [default: the model's]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub steps: Option<usize>,
    /// How closely the picture follows the prompt; 1 is no guidance [default: the model's]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub guidance_scale: Option<f32>,
    /// Width in pixels [default: the model's]
    #[arg(long, value_name = "W")]
    pub width: Option<usize>,
    /// Height in pixels [default: the model's]
    #[arg(long, value_name = "H")]
    pub height: Option<usize>,
    /// The sampler [default: the model's]
    #[arg(long, value_name = "NAME", value_parser = schedulers())]
    pub scheduler: Option<SchedulerKind>,
}

/// The weights of one model in several precisions.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Variant {
    /// 16-bit floats: half the download
    Fp16,
    /// As published, mostly 32-bit floats
    Full,
}

fn schedulers() -> impl TypedValueParser<Value = SchedulerKind> {
    PossibleValuesParser::new(SchedulerKind::ALL.map(SchedulerKind::name))
        .try_map(|name| name.parse::<SchedulerKind>())
}

impl ModelOptions {
    /// The model's files. A name is only looked up on the hub where no such path exists.
    pub fn files(&self, storage: StorageChoice) -> Result<ModelFiles> {
        let Some(model) = &self.model else { return embedded() };
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

    /// The request for a prompt, without a seed.
    pub fn request(&self, prompt: &str) -> Request {
        Request {
            steps: self.steps,
            guidance_scale: self.guidance_scale,
            width: self.width,
            height: self.height,
            scheduler: self.scheduler,
            ..Request::new(prompt)
        }
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

/// The device and how it stores numbers.
#[derive(Args)]
pub struct GpuOptions {
    /// Position in the list of `croquis devices`, or a part of the name [default: the environment's
    /// CROQUIS_DEVICE, else the best]
    #[arg(long, value_name = "NAME|INDEX")]
    pub device: Option<String>,
    /// How weights and activations are stored on the GPU
    #[arg(long, value_enum, default_value_t = StorageChoice::Auto)]
    pub storage: StorageChoice,
}

/// A storage type, or what suits the device.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StorageChoice {
    /// What suits the device
    Auto,
    /// 16-bit floats, where shaders can compute with them
    F16,
    /// Pairs of 16-bit floats, on any GPU
    Packed,
    /// 32-bit floats
    F32,
}

impl StorageChoice {
    /// The storage type, if one was chosen.
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
    /// Opens the device and says which it is.
    pub fn open(&self) -> Result<Gpu> {
        let storage = self.storage.storage();
        let device = self.device.clone();
        let options = DeviceOptions { device, storage, ..Default::default() };
        let gpu = Gpu::open_blocking(&options)?;
        say(format!("device {}, storage {}", gpu.summary(), gpu.target().storage));
        Ok(gpu)
    }
}

/// The short name of a model, by its folder.
pub fn short_name(model: &Model) -> String {
    let path = std::path::Path::new(model.name());
    let whole = path.canonicalize().unwrap_or_else(|_| path.into());
    hub::short_name(&whole).unwrap_or_else(|| model.name().into())
}
