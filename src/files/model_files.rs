//! [`ModelFiles`]: the files of a model, whatever their form.

use super::checkpoint::{Checkpoint, Sampling};
use super::pickle::refuse_pickle;
use super::shards::Folder;
use crate::error::{Error, ErrorKind, Result};
use crate::weights::{Source, Weights};
use std::collections::BTreeMap;

/// The files of a model in the layout of a diffusers folder, from a folder, from files in memory or
/// from a single-file checkpoint.
#[derive(Clone)]
pub struct ModelFiles {
    pub(crate) name: String,
    origin: Origin,
    /// Small files that replace the origin's.
    pub(crate) instead: BTreeMap<String, Vec<u8>>,
    /// Weights of components that replace those of the origin.
    pub(crate) replaced: BTreeMap<String, Weights>,
    /// How a single file's UNet was trained, if it has one.
    pub(crate) sampling: Option<Sampling>,
    /// Tensors of a checkpoint that belong to no component.
    pub(crate) unknown: Vec<String>,
}

#[derive(Clone)]
enum Origin {
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
    /// A model at a path, whatever its form: a diffusers folder (see [`ModelFiles::folder`]), or
    /// one file of Stable Diffusion 1.x, 2.x or XL in the original layout, safetensors or GGUF,
    /// which is recognised by its content. A folder with a `config.json` is a component by
    /// itself, such as a ControlNet.
    ///
    /// # Errors
    /// `NotFound` if nothing is there; `Unsupported` for pickles, with how to convert one, and for
    /// other families of models, by name; else as [`ModelFiles::folder`] and [`Checkpoint::new`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<ModelFiles> {
        let path = path.as_ref();
        if path.is_dir() && path.join("config.json").is_file() {
            return Ok(Self::at(path.display().to_string(), Origin::Folder(path.into())));
        }
        if path.is_dir() || !path.exists() {
            return Self::folder(path);
        }
        Self::single_file(path.display().to_string(), Source::open(path)?)
    }

    /// The model of one file in memory; `name` stands for it in messages.
    ///
    /// # Errors
    /// As [`ModelFiles::open`] for a file.
    pub fn single_file(name: impl Into<String>, source: Source) -> Result<ModelFiles> {
        let name = name.into();
        refuse_pickle(&name, &source)?;
        let checkpoint = Checkpoint::new(&name, Weights::from_bytes(name.clone(), source)?)?;
        if !checkpoint.unknown.is_empty() {
            let (count, some) = (checkpoint.unknown.len(), &checkpoint.unknown);
            let some = some[..count.min(5)].join(", ");
            log::warn!("{name}: {count} tensors are part of nothing that is known: {some}");
        }
        let Checkpoint { texts, weights, unknown, sampling, .. } = checkpoint;
        Ok(ModelFiles { unknown, sampling, ..Self::parts(name, texts, weights) })
    }

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
        Ok(Self::at(name, Origin::Folder(path.into())))
    }

    fn at(name: String, origin: Origin) -> ModelFiles {
        let (instead, replaced) = Default::default();
        ModelFiles { name, origin, instead, replaced, sampling: None, unknown: Vec::new() }
    }

    /// Files in memory by their path in the folder, such as `unet/config.json`; `name` stands for
    /// the folder in messages.
    pub fn memory(
        name: impl Into<String>,
        files: impl IntoIterator<Item = (String, Source)>,
    ) -> ModelFiles {
        Self::at(name.into(), Origin::Memory(files.into_iter().collect()))
    }

    /// A model from its parts: small files by their path, such as `unet/config.json`, and weights by
    /// component, such as `unet`, under diffusers' names.
    #[doc(hidden)]
    pub fn parts(
        name: impl Into<String>,
        texts: BTreeMap<String, Vec<u8>>,
        weights: BTreeMap<String, Weights>,
    ) -> ModelFiles {
        Self::at(name.into(), Origin::Parts { texts, weights })
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

    /// The model's name in messages: its folder or file, or the name it was opened with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the model is a folder on disk, with configurations that can be edited.
    pub(crate) fn is_folder(&self) -> bool {
        match &self.origin {
            #[cfg(not(target_arch = "wasm32"))]
            Origin::Folder(_) => true,
            _ => false,
        }
    }

    /// The names of a single file's tensors that belong to no component and are not used.
    pub fn unknown_tensors(&self) -> &[String] {
        &self.unknown
    }

    /// The bytes of a small file, or `None` if there is none.
    #[doc(hidden)]
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        if let Some(text) = self.instead.get(path) {
            return Ok(Some(text.clone()));
        }
        match &self.origin {
            Origin::Memory(files) => files.get(path).map(Source::to_vec).transpose(),
            Origin::Parts { texts, .. } => Ok(texts.get(path).cloned()),
            #[cfg(not(target_arch = "wasm32"))]
            Origin::Folder(folder) => match crate::disk::read_small(&folder.join(path)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => {
                    let message = format!("{}/{path} cannot be read", self.name);
                    Err(Error::new(ErrorKind::Io, message).with_source(error))
                }
            },
        }
    }

    /// The text of a file.
    ///
    /// # Errors
    /// `NotFound` if it is missing, `Format` if it is not UTF-8, `Io` if it cannot be read.
    #[doc(hidden)]
    pub fn text(&self, path: &str) -> Result<String> {
        let Some(bytes) = self.read(path)? else {
            if let (Origin::Parts { weights, .. }, Some((component, _))) =
                (&self.origin, path.split_once('/'))
            {
                return Err(self.lacks(component, weights));
            }
            let message = format!("{}: the file {path} is missing", self.name);
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        String::from_utf8(bytes).map_err(|error| {
            let message = format!("{}/{path} is not UTF-8 text", self.name);
            Error::new(ErrorKind::Format, message).with_source(error)
        })
    }

    /// A component's weights; of a model that is one component, such as a ControlNet's folder, the
    /// component is "".
    #[doc(hidden)]
    pub fn weights(&self, component: &str) -> Result<Weights> {
        let slash = if component.is_empty() { "" } else { "/" };
        let inside = |file: &str| format!("{component}{slash}{file}");
        if let Some(weights) = self.replaced.get(component) {
            return Ok(weights.clone());
        }
        if let Origin::Parts { weights, .. } = &self.origin {
            let found = weights.get(component).cloned();
            return found.ok_or_else(|| self.lacks(component, weights));
        }
        let open = |file: &str| match &self.origin {
            Origin::Memory(files) => {
                let path = inside(file);
                let source = files.get(&path).cloned().unwrap_or_else(|| Vec::new().into());
                Weights::from_bytes(format!("{}/{path}", self.name), source)
            }
            #[cfg(not(target_arch = "wasm32"))]
            Origin::Folder(folder) => Weights::open(folder.join(component).join(file)),
            Origin::Parts { .. } => Err(self.lacks(component, &BTreeMap::new())),
        };
        let folder = Folder {
            name: format!("{}{slash}{component}", self.name),
            files: self.list(component),
            open: &open,
            read: &|file| self.text(&inside(file)).map(String::into_bytes),
        };
        folder.weights()
    }

    /// A component's weights, or `None` if there are none at all.
    #[doc(hidden)]
    pub fn present(&self, component: &str) -> Result<Option<Weights>> {
        match self.weights(component) {
            Ok(weights) => Ok(Some(weights)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names of the files in a component's folder, sorted.
    fn list(&self, component: &str) -> Vec<String> {
        match &self.origin {
            Origin::Memory(files) => {
                let inside = |path: &String| match component {
                    "" => Some(path.clone()),
                    _ => Some(path.strip_prefix(component)?.strip_prefix('/')?.to_string()),
                };
                files.keys().filter_map(inside).collect()
            }
            Origin::Parts { .. } => Vec::new(),
            #[cfg(not(target_arch = "wasm32"))]
            Origin::Folder(folder) => {
                // A folder that cannot be read has no weights, which is what will be said.
                let entries = std::fs::read_dir(folder.join(component)).into_iter().flatten();
                let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
                let mut names: Vec<String> = names.collect();
                names.sort();
                names
            }
        }
    }

    /// The error where a single file does not hold a component.
    fn lacks(&self, component: &str, weights: &BTreeMap<String, Weights>) -> Error {
        let there: Vec<&str> = weights.keys().map(String::as_str).collect();
        let message = format!(
            "{}: expected a {component}, found {} only; take a file that holds the whole model or \
             its diffusers folder, or complete this one by another model of its family",
            self.name,
            there.join(", ")
        );
        Error::new(ErrorKind::NotFound, message)
    }
}
