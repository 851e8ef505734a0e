//! Where a model's files come from.

use crate::error::{Error, ErrorKind, Result};
use crate::weights::{Source, Weights};
use std::collections::BTreeMap;

/// The files of a model in diffusers' folder layout: a folder, or files in memory.
#[derive(Clone)]
pub struct ModelFiles {
    name: String,
    place: Place,
}

#[derive(Clone)]
enum Place {
    #[cfg(not(target_arch = "wasm32"))]
    Folder(std::path::PathBuf),
    Memory(BTreeMap<String, Source>),
    /// Texts by path, and weights by component.
    Parts {
        texts: BTreeMap<String, Vec<u8>>,
        weights: BTreeMap<String, Weights>,
    },
}

impl ModelFiles {
    /// A diffusers folder: `model_index.json`, `unet/`, `vae/`, `text_encoder/`, `tokenizer/`,
    /// `scheduler/`.
    ///
    /// # Errors
    /// `NotFound` if there is no such folder, or it holds no `model_index.json`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn folder(path: impl AsRef<std::path::Path>) -> Result<ModelFiles> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let missing = |what: &str| {
            let message = format!(
                "{name}: {what}; expected a diffusers folder with model_index.json, unet/, vae/, \
                 text_encoder/, tokenizer/ and scheduler/"
            );
            Err(Error::new(ErrorKind::NotFound, message))
        };
        if !path.exists() {
            return missing("there is no such folder");
        }
        if !path.is_dir() {
            return missing("this is a file");
        }
        if !path.join("model_index.json").is_file() {
            return missing("model_index.json is missing");
        }
        Ok(ModelFiles { name, place: Place::Folder(path.into()) })
    }

    /// Files in memory by their path in the folder, such as `unet/config.json`; `name` stands for
    /// the folder in messages.
    pub fn memory(
        name: impl Into<String>,
        files: impl IntoIterator<Item = (String, Source)>,
    ) -> ModelFiles {
        ModelFiles { name: name.into(), place: Place::Memory(files.into_iter().collect()) }
    }

    /// What a folder would hold, whatever it was made from: small files by their path, such as
    /// `unet/config.json`, and weights by component, such as `unet`, under diffusers' names.
    pub fn parts(
        name: impl Into<String>,
        texts: BTreeMap<String, Vec<u8>>,
        weights: BTreeMap<String, Weights>,
    ) -> ModelFiles {
        ModelFiles { name: name.into(), place: Place::Parts { texts, weights } }
    }

    /// The model that is part of this library: emoji-style pictures of 64×64 pixels.
    #[cfg(feature = "embedded")]
    pub fn embedded() -> ModelFiles {
        macro_rules! files {
            ($($path:literal),* $(,)?) => {
                [$((
                    String::from($path),
                    Source::from(&include_bytes!(concat!("../../models/emoji-64/", $path))[..]),
                )),*]
            };
        }
        let files = files![
            "model_index.json",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            "text_encoder/model.safetensors",
            "tokenizer/merges.txt",
            "tokenizer/special_tokens_map.json",
            "tokenizer/tokenizer_config.json",
            "tokenizer/vocab.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
        ];
        ModelFiles::memory("emoji-64", files)
    }

    /// The name for messages: the folder, or what it was called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes of a small file, or `None` if there is none.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match &self.place {
            Place::Memory(files) => Ok(files.get(path).map(|source| source.as_ref().to_vec())),
            Place::Parts { texts, .. } => Ok(texts.get(path).cloned()),
            #[cfg(not(target_arch = "wasm32"))]
            Place::Folder(folder) => match std::fs::read(folder.join(path)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => {
                    let message = format!("{}/{path} cannot be read", self.name);
                    Err(Error::new(ErrorKind::Io, message).with_source(error))
                }
            },
        }
    }

    /// The text of a file that must exist.
    pub(super) fn text(&self, path: &str) -> Result<String> {
        let Some(bytes) = self.read(path)? else {
            let message = format!("{}: the file {path} is missing", self.name);
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        String::from_utf8(bytes).map_err(|error| {
            let message = format!("{}/{path} is not UTF-8 text", self.name);
            Error::new(ErrorKind::Format, message).with_source(error)
        })
    }

    /// A component's weights under one of the names that diffusers and transformers save.
    pub(super) fn weights(&self, component: &str) -> Result<Weights> {
        let stems = ["diffusion_pytorch_model", "model"];
        let names = stems.iter().flat_map(|stem| {
            [".safetensors", ".fp16.safetensors"].map(|end| format!("{component}/{stem}{end}"))
        });
        for path in names {
            match &self.place {
                Place::Parts { weights, .. } => {
                    if let Some(weights) = weights.get(component) {
                        return Ok(weights.clone());
                    }
                }
                Place::Memory(files) => {
                    if let Some(source) = files.get(&path) {
                        return Weights::from_bytes(
                            format!("{}/{path}", self.name),
                            source.clone(),
                        );
                    }
                }
                #[cfg(not(target_arch = "wasm32"))]
                Place::Folder(folder) => {
                    if folder.join(&path).is_file() {
                        return Weights::open(folder.join(&path));
                    }
                }
            }
        }
        let message = format!(
            "{}: {component}/ has no weights; expected {component}/diffusion_pytorch_model.safetensors or \
             {component}/model.safetensors (convert .bin files with diffusers: \
             save_pretrained(..., safe_serialization=True))",
            self.name
        );
        Err(Error::new(ErrorKind::NotFound, message))
    }
}
