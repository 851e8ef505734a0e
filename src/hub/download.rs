//! Downloads a whole model from the hub into the cache.

use super::blob::{Blob, create_folder, disk};
use super::cache::Cache;
use super::client::{Client, Entry, Listing};
use super::files::{INDEX, Need, Selection, needs, select, shards};
use super::locate;
use super::options::HubOptions;
use super::repository::{Repository, is_model};
use crate::error::{Error, ErrorKind, Result};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The progress of a download.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Transfer<'a> {
    /// The file that is being downloaded, by its path in the repository.
    pub file: &'a str,
    /// Bytes of all files that are present in the cache.
    pub bytes: u64,
    /// Bytes of all files that the model needs.
    pub total_bytes: u64,
}

/// Downloads the files of a model that the cache lacks; returns the model's folder in the cache, or
/// the path of the single file that the name means. A complete snapshot is used as it is; with
/// [`offline`](HubOptions::offline) nothing is downloaded.
///
/// Blocks the thread. `on_progress` is called every few hundred kilobytes and stops the download
/// with `Break`; a stopped or broken download is resumed by the next call. Large files are verified
/// by their SHA-256 and others by their size before they get their names.
///
/// # Errors
/// As [`locate`]; `Argument` if the model needs a token (`HF_TOKEN`), `NotFound` if the hub has no
/// such model or the model lacks files, `Io` if the network or the disk fails, `Format` if contents
/// differ from what the hub announced, `Cancelled`.
pub fn fetch(
    repository: &Repository,
    options: &HubOptions,
    mut on_progress: impl FnMut(&Transfer<'_>) -> ControlFlow<()>,
) -> Result<PathBuf> {
    match locate(repository, options) {
        Err(error) if error.kind() == ErrorKind::NotFound && !options.offline => {}
        located => return located,
    }
    let named = |error: Error| error.context(format!("model {repository}"));
    let client = Client::new(options);
    let listing = client.list(repository).map_err(named)?;
    let cache = Cache::new(repository, options);
    let snapshot = cache.snapshot(&listing.commit);
    let job = DownloadJob { repository, client, cache, listing, snapshot };
    let selection = job.select(options.half, &mut on_progress).map_err(named)?;
    if !selection.missing.is_empty() {
        return Err(job.incomplete(&selection.missing));
    }
    job.files(&selection.files, &mut on_progress).map_err(named)?;
    locate(repository, options)
}

/// The download of one commit of a repository.
struct DownloadJob<'a> {
    repository: &'a Repository,
    client: Client<'a>,
    cache: Cache,
    listing: Listing,
    snapshot: PathBuf,
}

type OnProgress<'p> = &'p mut dyn FnMut(&Transfer<'_>) -> ControlFlow<()>;

impl DownloadJob<'_> {
    /// Selects the files to download. `model_index.json` and the shard indices determine them, so
    /// these are downloaded first.
    fn select(&self, half: bool, on_progress: OnProgress<'_>) -> Result<Selection> {
        let has = |file: &str| self.listing.files.contains_key(file);
        let needs = match self.repository.file() {
            Some(file) => vec![Need::file(file.into())],
            None if has(INDEX) => needs(Some(&self.small_file(INDEX, on_progress)?), half)?,
            None => needs(None, half)?,
        };
        if self.repository.revision() != self.listing.commit {
            let reference = self.cache.reference(self.repository.revision());
            write_whole(&reference, &self.listing.commit)?;
        }
        let mut selection = select(needs, has);
        for index in selection.indices() {
            let text = self.small_file(&index, on_progress)?;
            selection.extend(select(shards(&index, &text)?, has));
        }
        Ok(selection)
    }

    /// Downloads a file and reads it.
    fn small_file(&self, path: &str, on_progress: OnProgress<'_>) -> Result<Vec<u8>> {
        self.files(&[path.to_string()], on_progress)?;
        let file = self.snapshot.join(path);
        fs::read(&file).map_err(|error| disk(&file, error))
    }

    /// Downloads files one after the other.
    fn files(&self, paths: &[String], on_progress: OnProgress<'_>) -> Result<()> {
        let entries: Vec<(&String, &Entry)> =
            paths.iter().filter_map(|path| self.listing.files.get_key_value(path)).collect();
        let total_bytes =
            entries.iter().fold(0u64, |sum, (_, entry)| sum.saturating_add(entry.bytes));
        let mut done = 0u64;
        for (path, entry) in entries {
            let blob = Blob {
                path,
                entry,
                folder: self.cache.folder().join("blobs"),
                locks: self.cache.locks.clone(),
            };
            if !blob.exists() {
                let open =
                    |from| self.client.open(self.repository, &self.listing.commit, path, from);
                blob.download(open, &mut |received| {
                    on_progress(&Transfer {
                        file: path,
                        bytes: done.saturating_add(received),
                        total_bytes,
                    })
                })?;
            }
            link(&self.snapshot.join(path), path, &blob)?;
            done = done.saturating_add(entry.bytes);
        }
        Ok(())
    }

    /// The error for a repository that lacks files of a model.
    fn incomplete(&self, missing: &[Need]) -> Error {
        let descriptions: Vec<_> = missing.iter().map(|need| need.describe()).collect();
        let what = match self.repository.file() {
            Some(_) => "the repository",
            None => {
                "the repository is not a diffusers folder with weights in safetensors format; it"
            }
        };
        let lacks = descriptions.join(", ");
        let mut message = format!("model {}: {what} lacks {lacks}", self.repository);
        let single = |file: &&String| is_model(file) && !file.contains('/');
        let whole: Vec<_> = self.listing.files.keys().filter(single).map(String::as_str).collect();
        if !whole.is_empty() {
            message += &format!(
                "; it has the single file{} {}: name one as {}/FILE",
                if whole.len() == 1 { "" } else { "s" },
                whole.join(", "),
                self.repository.name()
            );
        }
        Error::new(ErrorKind::NotFound, message)
    }
}

/// Links a blob under the file's name in the snapshot: a relative link, or a hard link where the
/// system has no symbolic ones. A link whose blob is gone is replaced.
fn link(name: &Path, path: &str, blob: &Blob<'_>) -> Result<()> {
    if name.is_file() {
        return Ok(());
    }
    replace_atomically(name, |new| {
        #[cfg(unix)]
        let linked = {
            let up = "../".repeat(2 + path.matches('/').count());
            std::os::unix::fs::symlink(format!("{up}blobs/{}", blob.entry.blob), new)
        };
        #[cfg(not(unix))]
        let linked = {
            let _ = path;
            fs::hard_link(blob.file(), new).or_else(|_| fs::copy(blob.file(), new).map(|_| ()))
        };
        linked
    })
}

/// Writes a small file atomically.
fn write_whole(file: &Path, text: &str) -> Result<()> {
    replace_atomically(file, |new| fs::write(new, text))
}

/// Creates a file under a temporary name with `make` and renames it, so that other processes see
/// the old file or the new one, never a missing or partial one.
fn replace_atomically(file: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    // The counter makes temporary names unique among threads.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    if let Some(folder) = file.parent() {
        create_folder(folder)?;
    }
    let mut partial = file.as_os_str().to_owned();
    partial.push(format!(".{}-{count}.incomplete", std::process::id()));
    let partial = PathBuf::from(partial);
    make(&partial).and_then(|()| fs::rename(&partial, file)).map_err(|error| disk(file, error))
}
