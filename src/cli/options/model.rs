//! Options for the model's files.

use super::device::StorageChoice;
use crate::cli::hub;
use clap::{Args, ValueEnum};
use croquis::Result;
use croquis::diffusion::{Model, Tiling};
use croquis::files::{ModelFiles, Prediction};
use std::path::{Path, PathBuf};

/// Options for the model's files.
#[derive(Args)]
#[command(next_help_heading = "Model")]
pub struct ModelOptions {
    /// A model: a diffusers folder, a file (.safetensors, .gguf), or a name on the Hugging Face Hub
    /// (org/name, org/name@revision or org/name/file.safetensors) [default: the embedded model]
    #[arg(short, long, value_name = "DIR|FILE|NAME")]
    model: Option<PathBuf>,
    /// A UNet in place of the model's own, such as a quantised one (.gguf) or a fine-tuned one
    #[arg(long, value_name = "DIR|FILE|NAME", requires = "model")]
    unet: Option<PathBuf>,
    /// The weights to download where the hub has several [default: fp16 unless --storage f32]
    #[arg(long, value_enum, value_name = "VARIANT")]
    variant: Option<Variant>,
    /// The network's prediction type, where a single file does not show it: epsilon, v_prediction
    /// or sample
    #[arg(long, value_name = "NAME")]
    prediction: Option<Prediction>,
    /// Tiles of the autoencoder: `auto`, `never`, or a tile's longest side in pixels
    #[arg(long, value_name = "auto|never|N", value_parser = parse_tiling, default_value = "auto")]
    tiles: Tiling,
}

/// The precision of the weights to download.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Variant {
    /// 16-bit floats: half the download
    Fp16,
    /// As published, mostly 32-bit floats
    Full,
}

/// Parses `auto`, `never` or a number of pixels.
pub fn parse_tiling(text: &str) -> Result<Tiling, String> {
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

    /// Opens another model beside this one, with the same choices.
    pub fn open_other(&self, model: &Path, storage: StorageChoice) -> Result<Model> {
        let mut model = Model::open(&self.files(model, storage)?)?;
        model.set_tiling(self.tiles)?;
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

/// The short name of a model: that of its folder.
pub fn short_name(model: &Model) -> String {
    let path = std::path::Path::new(model.name());
    // A file in the hub's cache is a link to a blob, whose name is a hash.
    let whole = path.canonicalize().ok().filter(|whole| whole.is_dir());
    hub::short_name(whole.as_deref().unwrap_or(path)).unwrap_or_else(|| model.name().into())
}
