//! A file of tensors in one of the formats that can be read.

use std::ops::Range;

use super::header::Header;
use super::source::Source;
use super::{gguf, safetensors};
use crate::error::{Error, ErrorKind, Result};

/// A file whose header was found to be consistent with its length.
pub(super) struct File {
    name: String,
    source: Source,
}

impl File {
    /// Reads the header and checks that every tensor lies in the file.
    pub(super) fn parse(name: String, source: Source) -> Result<(Self, Header)> {
        let named = |error: Error| error.context(&name);
        let (len, magic) = (source.len(), source.start(gguf::MAGIC.len()).map_err(named)?);
        let header = if *magic == *gguf::MAGIC {
            // How long a header is shows only when it is read.
            let mut most = 1 << 20;
            loop {
                let start = source.start(most).map_err(named)?;
                match gguf::parse(&start, len) {
                    Err(_) if (start.len() as u64) < len && most < gguf::MAX_HEADER_BYTES => {
                        most *= 4;
                    }
                    header => break header,
                }
            }
        } else {
            let start = source.start(8).map_err(named)?;
            // Enough too of what is no safetensors file to tell what it is.
            let most = safetensors::header_end(&start).max(64);
            let start = source.start(most).map_err(named)?;
            safetensors::parse(&start, len)
        };
        let header = header
            .map_err(|message| Error::new(ErrorKind::Format, format!("{name}: {message}")))?;
        Ok((File { name, source }, header))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Gives a range of bytes to a function, as they are in memory or by way of a buffer. What cannot be
    /// read is NaN, and [`intact`](File::intact) tells of it.
    pub(super) fn with<R>(
        &self,
        range: Range<usize>,
        buffer: &mut [u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> R {
        #[cfg(target_arch = "wasm32")]
        let _ = buffer; // there are no files
        match &self.source {
            Source::Static(bytes) => read(&bytes[range]),
            Source::Shared(bytes) => read(&bytes[range]),
            #[cfg(not(target_arch = "wasm32"))]
            Source::File(file) => {
                let bytes = &mut buffer[..range.len()];
                file.read(range.start as u64, bytes);
                read(bytes)
            }
        }
    }

    /// Whether bytes are read from the disk.
    pub(super) fn is_on_disk(&self) -> bool {
        match &self.source {
            Source::Static(_) | Source::Shared(_) => false,
            #[cfg(not(target_arch = "wasm32"))]
            Source::File(_) => true,
        }
    }

    /// # Errors
    /// `Io` if a read failed or somebody changed the file since it was opened.
    pub(super) fn intact(&self) -> Result<()> {
        #[cfg(not(target_arch = "wasm32"))]
        if let Source::File(file) = &self.source
            && let Some(problem) = file.problem()
        {
            let message = format!("{}: the file changed while it was in use: {problem}", self.name);
            return Err(Error::new(ErrorKind::Io, message));
        }
        Ok(())
    }
}
