//! The bytes of a file: embedded, shared or memory-mapped.

use std::sync::Arc;

#[cfg(not(target_arch = "wasm32"))]
use crate::error::{Error, ErrorKind, Result};

/// The bytes of a file.
#[derive(Clone)]
pub enum Source {
    /// Part of the program: the embedded model.
    Static(&'static [u8]),
    /// In memory: downloaded, or handed over by the embedding application.
    Shared(Arc<[u8]>),
    /// A file, mapped into memory.
    #[cfg(not(target_arch = "wasm32"))]
    Mapped(Arc<memmap2::Mmap>),
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

impl AsRef<[u8]> for Source {
    fn as_ref(&self) -> &[u8] {
        match self {
            Source::Static(bytes) => bytes,
            Source::Shared(bytes) => bytes,
            #[cfg(not(target_arch = "wasm32"))]
            Source::Mapped(map) => map,
        }
    }
}

impl Source {
    /// Maps a file into memory. The file must not be changed while the source lives: reading
    /// a part that someone cut off ends the process.
    ///
    /// # Errors
    /// `NotFound` if the file does not exist, `Io` if it cannot be read.
    #[cfg(not(target_arch = "wasm32"))]
    #[allow(unsafe_code)]
    pub fn map(path: &std::path::Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            let shown = path.display();
            if error.kind() == std::io::ErrorKind::NotFound {
                let message = format!(
                    "{shown}: no such file; expected the weights of a model in safetensors format: \
                     check the path, and that the download of the model is complete"
                );
                return Error::new(ErrorKind::NotFound, message);
            }
            Error::new(ErrorKind::Io, format!("{shown}: cannot read the file")).with_source(error)
        };
        let file = crate::disk::open(path).map_err(failed)?;
        // SAFETY: the mapping is private and read-only, and lives as long as every slice of it,
        // which borrow from the `Arc`. That nobody changes the file meanwhile is the documented
        // condition; checkpoints are written once. No value of the bytes is invalid as `u8`.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(failed)?;
        Ok(Source::Mapped(Arc::new(map)))
    }
}
