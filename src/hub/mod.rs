//! Models by their name on the Hugging Face Hub, such as `org/name`, from the cache that
//! `huggingface_hub` and diffusers use, or downloaded into it.
//!
//! [`locate`] only looks into the cache and is always available. `fetch`, of the feature `hub`,
//! downloads missing files: exactly those that croquis reads, never `.bin` or `.ckpt`. A complete
//! snapshot is used without a request to the network. A name may also mean a single-file model:
//! `org/name/file.safetensors`.
//!
//! ```no_run
//! use croquis::diffusion::Diffusion;
//! use croquis::files::ModelFiles;
//! use croquis::hub::{HubOptions, Repository, locate};
//!
//! # fn main() -> croquis::Result<()> {
//! let repository: Repository = "stable-diffusion-v1-5/stable-diffusion-v1-5".parse()?;
//! let path = locate(&repository, &HubOptions::from_env()?)?;
//! let model = ModelFiles::open(path)?;
//! # Ok(())
//! # }
//! ```
//!
//! File and folder names, locks, environment variables and the protocol are those of the Python
//! package `huggingface_hub` 2.4, so that each finds the other's downloads.
//!
//! The download is written on `ureq` instead of the crate `hf-hub`: since 1.0 that crate brings an
//! asynchronous runtime and a second transfer protocol, and its blocking predecessor neither
//! verifies checksums nor locks against other processes. croquis needs one request for the file
//! list and one for each file.

mod cache;
mod files;
mod options;
mod repository;

#[cfg(feature = "hub")]
mod blob;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod download;

#[cfg(feature = "hub")]
pub use download::{Transfer, fetch};
pub use options::HubOptions;
pub use repository::Repository;

use crate::error::{Error, ErrorKind, Result};
use cache::Cache;
use files::Selection;
use std::path::PathBuf;

/// Looks a model up in the cache: returns its folder, which opens as a diffusers folder, or the
/// path of the single file that the name means.
///
/// # Errors
/// `NotFound` with the missing files, the cache's path and how to get them; `Format` if
/// `model_index.json` is damaged; `Unsupported` if the model has no UNet; `Io` if the cache cannot
/// be read.
pub fn locate(repository: &Repository, options: &HubOptions) -> Result<PathBuf> {
    let cache = Cache::new(repository, options);
    let (snapshot, selection) = cache.look_up(repository, options)?;
    match snapshot {
        Some(snapshot) if selection.missing.is_empty() => Ok(match repository.file() {
            Some(file) => snapshot.join(file),
            None => snapshot,
        }),
        _ => Err(missing(repository, options, &cache, &selection)),
    }
}

/// The error for a model that is not complete in the cache.
fn missing(
    repository: &Repository,
    options: &HubOptions,
    cache: &Cache,
    selection: &Selection,
) -> Error {
    let descriptions: Vec<_> = selection.missing.iter().map(|need| need.describe()).collect();
    let files: Vec<_> = selection.missing.iter().flat_map(|need| need.preferred()).collect();
    let revision = match repository.revision() {
        "main" => String::new(),
        other => format!(" --revision {other}"),
    };
    let or = match (cfg!(feature = "hub"), options.offline) {
        (true, true) => "unset HF_HUB_OFFLINE",
        (true, false) => "let croquis download them",
        (false, _) => {
            "install croquis with the feature hub (cargo install croquis --features hub), which \
             downloads them"
        }
    };
    let message = format!(
        "model {repository}: missing in the cache {}: {}; get them with `hf download {}{revision} \
         {}`, or {or}",
        cache.folder().display(),
        descriptions.join(", "),
        repository.name(),
        files.join(" "),
    );
    Error::new(ErrorKind::NotFound, message)
}
