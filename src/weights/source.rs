//! The bytes of a file: embedded, shared or on disk.

use std::borrow::Cow;
use std::sync::Arc;

#[cfg(not(target_arch = "wasm32"))]
use super::on_disk::FileOnDisk;
use crate::error::Result;
#[cfg(not(target_arch = "wasm32"))]
use crate::error::{Error, ErrorKind};

/// The bytes of a file.
#[derive(Clone)]
pub enum Source {
    /// Part of the program: the embedded model.
    Static(&'static [u8]),
    /// In memory: downloaded, or handed over by the embedding application.
    Shared(Arc<[u8]>),
    /// A file on disk.
    #[cfg(not(target_arch = "wasm32"))]
    File(Arc<FileOnDisk>),
}

impl From<&'static [u8]> for Source {
    fn from(bytes: &'static [u8]) -> Self {
        Source::Static(bytes)
    }
}

impl From<Arc<[u8]>> for Source {
    fn from(bytes: Arc<[u8]>) -> Self {
        Source::Shared(bytes)
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Source::Shared(bytes.into())
    }
}

impl Source {
    /// A file, which is read where it is needed. If it changes meanwhile, what is read from it gives an
    /// error of kind `Io`.
    ///
    /// # Errors
    /// `NotFound` if the file does not exist, `Io` if it cannot be read or is no regular file.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(path: &std::path::Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            let shown = path.display();
            if error.kind() == std::io::ErrorKind::NotFound {
                // A link without a file is one of the hub's cache.
                let advice = match path.is_symlink() {
                    true => {
                        "it is a link to nothing: check that the download of the model is complete"
                    }
                    false => "check the path",
                };
                let message = format!(
                    "{shown}: no such file; expected weights in safetensors or GGUF format; {advice}"
                );
                return Error::new(ErrorKind::NotFound, message);
            }
            Error::new(ErrorKind::Io, format!("{shown}: cannot read the file")).with_source(error)
        };
        Ok(Source::File(Arc::new(FileOnDisk::open(path).map_err(failed)?)))
    }

    /// The number of bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Source::Static(bytes) => bytes.len() as u64,
            Source::Shared(bytes) => bytes.len() as u64,
            #[cfg(not(target_arch = "wasm32"))]
            Source::File(file) => file.len(),
        }
    }

    /// The first bytes, at most `most`.
    ///
    /// # Errors
    /// `Io` if a file cannot be read.
    pub(crate) fn start(&self, most: usize) -> Result<Cow<'_, [u8]>> {
        match self {
            Source::Static(bytes) => Ok(Cow::Borrowed(&bytes[..bytes.len().min(most)])),
            Source::Shared(bytes) => Ok(Cow::Borrowed(&bytes[..bytes.len().min(most)])),
            #[cfg(not(target_arch = "wasm32"))]
            Source::File(file) => {
                let mut bytes = vec![0; file.len().min(most as u64) as usize];
                file.read_exact(0, &mut bytes).map_err(|error| {
                    Error::new(ErrorKind::Io, "cannot read the file").with_source(error)
                })?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// All bytes.
    ///
    /// # Errors
    /// `Io` if a file cannot be read.
    #[doc(hidden)]
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        Ok(self.start(usize::MAX)?.into_owned())
    }
}
