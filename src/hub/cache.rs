//! The cache folder of one repository, in `huggingface_hub`'s layout:
//!
//! ```text
//! models--org--name/refs/main                  the commit that a branch or tag was at
//! models--org--name/snapshots/COMMIT/unet/…    links to the blobs under the files' own names
//! models--org--name/blobs/HASH                 the contents, and HASH.incomplete on the way
//! .locks/models--org--name/HASH.lock           held by the process that downloads a blob
//! ```

use super::files::{INDEX, Need, Selection, needs, select, shards};
use super::options::HubOptions;
use super::repository::{Repository, is_plain};
use crate::error::{Error, ErrorKind, Result};
use std::fs;
use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};

/// The folders of one repository.
pub(super) struct Cache {
    folder: PathBuf,
    #[cfg_attr(not(feature = "hub"), allow(dead_code))]
    pub locks: PathBuf,
}

impl Cache {
    pub fn new(repository: &Repository, options: &HubOptions) -> Cache {
        let name = format!("models--{}", repository.name().replace('/', "--"));
        Cache { locks: options.cache.join(".locks").join(&name), folder: options.cache.join(name) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The path of the file with the commit of a revision (branch or tag).
    pub fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }

    /// Looks up the snapshot of a revision, if there is one, and which of the needed files it has.
    pub fn look_up(
        &self,
        repository: &Repository,
        options: &HubOptions,
    ) -> Result<(Option<PathBuf>, Selection)> {
        let snapshot = self.find(repository.revision())?;
        let named = |error: Error| error.context(format!("model {repository}"));
        let stored = |file: &str| match &snapshot {
            Some(snapshot) => read(&snapshot.join(file)),
            None => Ok(None),
        };
        let needs = match repository.file() {
            Some(file) => vec![Need::file(file.into())],
            None => needs(stored(INDEX)?.as_deref(), options.half).map_err(named)?,
        };
        // A link whose blob is gone counts as missing.
        let has = |file: &str| snapshot.as_ref().is_some_and(|folder| folder.join(file).is_file());
        let mut selection = select(needs, has);
        for index in selection.indices() {
            let text = stored(&index)?.unwrap_or_default();
            selection.extend(select(shards(&index, &text).map_err(named)?, has));
        }
        Ok((snapshot, selection))
    }

    /// Finds the snapshot of a commit, or that of a branch or tag by its reference.
    fn find(&self, revision: &str) -> Result<Option<PathBuf>> {
        let reference = read(&self.reference(revision))?.map(String::from_utf8);
        let commit = match reference {
            Some(Ok(commit)) if is_plain(commit.trim()) => commit.trim().to_string(),
            Some(_) => {
                let file = self.reference(revision);
                let message = format!(
                    "{}: expected the name of a commit; remove the file and try again",
                    file.display()
                );
                return Err(Error::new(ErrorKind::Format, message));
            }
            None => revision.to_string(),
        };
        Ok(Some(self.snapshot(&commit)).filter(|snapshot| snapshot.is_dir()))
    }
}

/// Reads a small file of the cache; `None` if it does not exist.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        // A branch `a/b` makes `refs/a` a folder.
        Err(error)
            if matches!(
                error.kind(),
                IoErrorKind::NotFound | IoErrorKind::IsADirectory | IoErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => {
            let message = format!("{} cannot be read", path.display());
            Err(Error::new(ErrorKind::Io, message).with_source(error))
        }
    }
}
