//! The reference of `tests/golden/full_size.py`: a model, its inputs and outputs, and their
//! description.

use croquis::error::{Error, ErrorKind, Result};
use croquis::files::ModelFiles;
use croquis::internal::weights::Weights;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A folder with `model/`, `golden.safetensors` and `golden.json`.
pub struct Reference {
    folder: PathBuf,
    values: Weights,
    /// The contents of `golden.json`: family, prompts, timesteps and settings.
    pub description: Value,
}

impl Reference {
    pub fn open(folder: impl AsRef<Path>) -> Result<Reference> {
        let folder = folder.as_ref().to_path_buf();
        let values = Weights::open(folder.join("golden.safetensors"))?;
        let description = parse(&folder.join("golden.json"))?;
        Ok(Reference { folder, values, description })
    }

    /// `sd15`, `sd21` or `sdxl`.
    pub fn family(&self) -> &str {
        self.description["family"].as_str().unwrap_or("unknown")
    }

    pub fn has(&self, name: &str) -> bool {
        self.values.shape(name).is_some()
    }

    /// A tensor and its shape; pictures and latents are converted to `[N, H, W, C]`.
    pub fn tensor(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let values = self.values.read_f32(name)?;
        Ok(match self.values.shape(name).unwrap_or_default() {
            &[n, c, h, w] => (vec![n, h, w, c], crate::common::nhwc(&[n, c, h, w], &values)),
            shape => (shape.to_vec(), values),
        })
    }

    /// A tensor in the layout of the file.
    pub fn raw(&self, name: &str) -> Result<Vec<f32>> {
        self.values.read_f32(name)
    }

    /// The model's folder.
    pub fn model(&self) -> PathBuf {
        self.folder.join("model")
    }

    pub fn files(&self) -> Result<ModelFiles> {
        ModelFiles::folder(self.model())
    }

    /// The path of a component's weights.
    pub fn weights(&self, component: &str) -> PathBuf {
        let text = component.starts_with("text");
        let file = if text { "model" } else { "diffusion_pytorch_model" };
        self.model().join(component).join(format!("{file}.safetensors"))
    }

    /// A component's `config.json`.
    pub fn config<C: DeserializeOwned>(&self, component: &str) -> Result<C> {
        parse(&self.model().join(component).join("config.json"))
    }
}

fn parse<C: DeserializeOwned>(path: &Path) -> Result<C> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::new(ErrorKind::NotFound, file.clone()).with_source(error))?;
    croquis::internal::models::parse_config(&file, &text)
}
