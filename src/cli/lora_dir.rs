//! Folders of LoRAs that prompts name: `<lora:name:weight>` is the file `name.safetensors` anywhere in
//! them.

use super::similar::distance;
use croquis::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// Folders deeper than this are not searched.
const MAX_DEPTH: usize = 16;

/// The file of a LoRA in some folders.
///
/// # Errors
/// `Argument` for a name that is a path, or that several files have; `NotFound` with names that are
/// similar; `Io` for a folder that cannot be read.
pub fn find(folders: &[PathBuf], name: &str) -> Result<PathBuf> {
    let fail = |kind, message: String| Err(Error::new(kind, format!("<lora:{name}>: {message}")));
    if name.contains(['/', '\\']) || name.contains("..") {
        return fail(ErrorKind::Argument, "expected the name of a file, got a path".into());
    }
    let mut files = Vec::new();
    for folder in folders {
        collect(folder, MAX_DEPTH, &mut files)?;
    }
    let stem = |file: &Path| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let found: Vec<_> = files.iter().filter(|file| stem(file) == name).collect();
    match found.as_slice() {
        [file] => Ok(file.to_path_buf()),
        [] => {
            let mut near: Vec<_> = files.iter().map(|file| stem(file)).collect();
            near.sort_by_cached_key(|other| (distance(name, other), other.clone()));
            near.dedup();
            near.truncate(5);
            let places: Vec<_> =
                folders.iter().map(|folder| folder.display().to_string()).collect();
            let near = match near.is_empty() {
                true => "there is none".to_string(),
                false => format!("the nearest are {}", near.join(", ")),
            };
            let message = format!("expected a LoRA in {}; {near}", places.join(", "));
            fail(ErrorKind::NotFound, message)
        }
        several => {
            let several: Vec<_> = several.iter().map(|file| file.display().to_string()).collect();
            let message = format!("expected one file of this name, got {}", several.join(", "));
            fail(ErrorKind::Argument, message)
        }
    }
}

/// Adds the `.safetensors` files of a folder and of those in it; links to folders are not followed.
fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        let message = format!("--lora-dir: {}: cannot read the folder", folder.display());
        Error::new(kind, message).with_source(error)
    };
    let entries = std::fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>();
    let mut paths: Vec<_> = entries.map_err(failed)?.iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let is = |ending: &std::ffi::OsStr| ending.eq_ignore_ascii_case("safetensors");
        if path.is_dir() {
            if depth > 0 && !path.is_symlink() {
                collect(&path, depth - 1, files)?;
            }
        } else if path.extension().is_some_and(is) {
            files.push(path);
        }
    }
    Ok(())
}
