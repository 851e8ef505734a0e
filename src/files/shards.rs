//! Weight files of a component in a diffusers folder: whole or in shards, of any variant (`fp16`).

use crate::error::{Error, ErrorKind, Result};
use crate::weights::Weights;
use crate::weights::pickle::{conversion, is_pickle_name};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The names of weight files in diffusers and in transformers, without variant and ending.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// The folder of one component.
pub struct Folder<'a> {
    /// The folder, for messages.
    pub name: String,
    /// The names of the files in it.
    pub files: Vec<String>,
    /// Opens a file of weights by its name.
    pub open: &'a dyn Fn(&str) -> Result<Weights>,
    /// Reads a small file by its name.
    pub read: &'a dyn Fn(&str) -> Result<Vec<u8>>,
}

/// The index of a component's shards, `X.safetensors.index.json`.
#[derive(Deserialize)]
pub(crate) struct ShardIndex {
    /// The file of every tensor.
    weight_map: BTreeMap<String, String>,
}

impl ShardIndex {
    /// Parses the text of the file.
    ///
    /// # Errors
    /// `Format` if it is something else.
    pub(crate) fn parse(text: &[u8]) -> Result<ShardIndex> {
        serde_json::from_slice(text).map_err(|error| {
            Error::new(ErrorKind::Format, "expected an index of shards").with_source(error)
        })
    }

    /// The names of all shards.
    pub(crate) fn shards(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }
}

impl Folder<'_> {
    /// The component's tensors: from the file without a variant in its name if there is one, else
    /// from `fp16`, else from the first of the others. Any of them can be in shards.
    ///
    /// # Errors
    /// `NotFound` if there are no weights, or naming all shards that are missing; `Unsupported` if
    /// there are pickles only; `Format` if an index and its shards contradict each other.
    pub fn weights(&self) -> Result<Weights> {
        let Some(file) = self.choose() else { return Err(self.nothing()) };
        match file.ends_with(".json") {
            true => self.sharded(file),
            false => (self.open)(file),
        }
    }

    /// The preferred weight file or shard index.
    fn choose(&self) -> Option<&str> {
        let rank = |file: &str| {
            let (_, rest) = STEMS.iter().find_map(|s| Some((s, file.strip_prefix(s)?)))?;
            let (variant, index) = match rest.strip_suffix(".json") {
                None => (rest.strip_suffix(".safetensors")?, false),
                Some(rest) => (rest.strip_prefix(".safetensors.index")?, true),
            };
            if !variant.is_empty() && !variant.starts_with('.') || variant.contains("-of-") {
                return None; // A shard, or another file.
            }
            let order = match variant {
                "" => 0,
                ".fp16" => 1,
                _ => 2,
            };
            Some((order, index))
        };
        let ranked = self.files.iter().filter_map(|file| Some((rank(file)?, file)));
        ranked.min().map(|(_, file)| file.as_str())
    }

    fn sharded(&self, file: &str) -> Result<Weights> {
        let damaged = |problem: String| {
            let message = format!("{}/{file}: {problem}", self.name);
            Error::new(ErrorKind::Format, message)
        };
        let index = ShardIndex::parse(&(self.read)(file)?)
            .map_err(|error| error.context(format!("{}/{file}", self.name)))?;
        let shards = index.shards();
        let there = |shard: &str| self.files.iter().any(|file| file == shard);
        let missing: Vec<&str> = shards.iter().filter(|s| !there(s)).copied().collect();
        if !missing.is_empty() {
            let message = format!(
                "{}: {} of {} shards are missing: {}; check that the download is complete",
                self.name,
                missing.len(),
                shards.len(),
                missing.join(", ")
            );
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let mut all: Option<Weights> = None;
        for shard in shards {
            let weights = (self.open)(shard)?;
            let listed = |name: &str| index.weight_map.get(name).is_some_and(|file| file == shard);
            if let Some(name) = weights.names().find(|name| !listed(name)) {
                let problem = format!("{shard} holds {name}, which the index does not say");
                return Err(damaged(problem));
            }
            let mut here = index.weight_map.iter().filter(|(_, file)| file.as_str() == shard);
            if let Some((name, _)) = here.find(|(name, _)| weights.shape(name).is_none()) {
                return Err(damaged(format!("expected {name} in {shard}, which does not hold it")));
            }
            all = Some(match all {
                Some(all) => all.merge(weights)?,
                None => weights,
            });
        }
        all.ok_or_else(|| damaged("expected shards, found an empty list".into()))
    }

    /// The error where there are no weights.
    fn nothing(&self) -> Error {
        let name = &self.name;
        let pickle = self.files.iter().find(|file| {
            let weights = STEMS.iter().chain(&["pytorch_model"]).any(|s| file.starts_with(s));
            weights && is_pickle_name(file)
        });
        if let Some(pickle) = pickle {
            let message = format!(
                "{name}: expected safetensors, found {pickle} only, a PyTorch pickle: loading one \
                 can run any code that is in it. Download the .safetensors file, or convert this \
                 one in Python:\n{}",
                conversion(&format!("{name}/{pickle}"))
            );
            return Error::new(ErrorKind::Unsupported, message);
        }
        let message = format!(
            "{name} has no weights; expected diffusion_pytorch_model.safetensors or \
             model.safetensors"
        );
        Error::new(ErrorKind::NotFound, message)
    }
}
