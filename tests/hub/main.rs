//! Models by their names: found in the cache, or with the feature `hub` downloaded from a local
//! server that answers as the Hugging Face Hub does.

mod cache;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod failures;
#[cfg(feature = "hub")]
mod server;
mod shards;
#[cfg(feature = "hub")]
mod single;

use croquis::hub::{HubOptions, Repository};
use std::fs;
use std::path::{Path, PathBuf};

/// The files of `tests/golden/sd1-tiny` that the server has.
pub const FILES: [&str; 12] = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/special_tokens_map.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "text_encoder/config.json",
    "vae/config.json",
    "unet/config.json",
    "text_encoder/model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
];

/// The contents of a file of the tiny model.
pub fn golden(path: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sd1-tiny");
    fs::read(folder.join(path)).expect("a golden file")
}

/// Parses a repository's name.
pub fn repository(text: &str) -> Repository {
    text.parse().expect("a name")
}

/// Options with an empty cache and no network.
pub fn empty_cache(name: &str) -> HubOptions {
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hub").join(name);
    let _ = fs::remove_dir_all(&cache);
    let mut options = HubOptions::from_env().expect("a home");
    options.cache = cache;
    options.endpoint = "http://127.0.0.1:9".into();
    options.token = None;
    options.offline = true;
    options.half = false;
    options
}
