//! A file of tensors in one of the formats that can be read.

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
        let bytes = source.as_ref();
        let header = if bytes.starts_with(gguf::MAGIC) {
            gguf::parse(bytes)
        } else {
            safetensors::parse(bytes)
        };
        let header = header
            .map_err(|message| Error::new(ErrorKind::Format, format!("{name}: {message}")))?;
        Ok((File { name, source }, header))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.source.as_ref()
    }
}
