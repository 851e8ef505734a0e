//! Picture files are read into memory as a whole.

use super::{Decoded, Picture, decode};
use crate::error::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read};
use std::path::Path;

/// The longest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// The bytes that tell a picture's format, before the rest is read.
const HEAD_BYTES: u64 = 64;

impl Picture {
    /// Reads a picture file; see [`Picture::read`].
    ///
    /// # Errors
    /// `NotFound`, `Io`, `Format` or `Unsupported`, naming the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Picture> {
        Ok(Decoded::open(path)?.picture)
    }
}

impl Decoded {
    /// [`Picture::open`], with what else is worth telling.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Decoded> {
        let path = path.as_ref();
        let bytes = contents(path)?;
        Decoded::read(&bytes).map_err(|error| error.context(path.display()))
    }
}

/// The contents of a file.
fn contents(path: &Path) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            IoErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        Error::new(kind, format!("{} cannot be opened", path.display())).with_source(error)
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    decode::format(&bytes).map_err(|error| error.context(path.display()))?;
    // One byte more than allowed tells a file that is too long, also where it has no length.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message =
            format!("{}: expected a picture of up to {MAX_FILE_BYTES} bytes", path.display());
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(bytes)
}
