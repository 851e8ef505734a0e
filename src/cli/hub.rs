//! Models by their name on the Hugging Face Hub, from the cache or downloaded.

use croquis::Result;
use croquis::hub::{HubOptions, Repository};
use std::path::{Path, PathBuf};

/// The folder of a model in the cache; with the feature `hub` it is downloaded first if it is
/// missing.
pub fn folder(repository: &Repository, half: bool) -> Result<PathBuf> {
    let mut options = HubOptions::from_env()?;
    options.half = half;
    find(repository, &options)
        .map_err(|error| error.context(format!("there is no folder {repository} here, and")))
}

#[cfg(feature = "hub")]
fn find(repository: &Repository, options: &HubOptions) -> Result<PathBuf> {
    use super::progress::Meter;
    use std::ops::ControlFlow;

    let mut meter = None;
    croquis::hub::fetch(repository, options, |transfer| {
        meter.get_or_insert_with(Meter::bytes).transfer(transfer);
        ControlFlow::Continue(())
    })
}

#[cfg(not(feature = "hub"))]
fn find(repository: &Repository, options: &HubOptions) -> Result<PathBuf> {
    croquis::hub::locate(repository, options)
}

/// The short name of a model's folder: its last part, or in the hub's cache the repository's name.
pub fn short_name(folder: &Path) -> Option<String> {
    let parts: Vec<_> = folder.iter().map(|part| part.to_string_lossy()).collect();
    if let [.., repository, snapshots, _] = parts.as_slice()
        && snapshots == "snapshots"
        && let Some(name) = repository.strip_prefix("models--")
    {
        return name.split_once("--").map(|(_, name)| name.to_string());
    }
    parts.last().map(|name| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_called_as_their_folders_or_repositories() {
        for (folder, name) in [
            ("/models/emoji-64", "emoji-64"),
            ("/c/hub/models--stabilityai--sdxl-turbo/snapshots/71153311d3dbb46", "sdxl-turbo"),
            ("/c/hub/models--a--b--c/snapshots/f00", "b--c"),
            ("/c/other/snapshots/f00", "f00"),
        ] {
            assert_eq!(short_name(Path::new(folder)).as_deref(), Some(name));
        }
    }
}
