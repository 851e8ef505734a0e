//! A file of tensors in one of the formats that can be read.

use std::collections::BTreeMap;
use std::ops::Range;

use super::dtype::DataType;
use super::source::Source;
use super::{gguf, safetensors};
use crate::error::{Error, ErrorKind, Result};

/// A file whose header was found to be consistent with its length.
pub(super) struct File {
    name: String,
    source: Source,
}

/// The content of a file's header.
#[derive(Default)]
pub(super) struct Header {
    pub tensors: Vec<Found>,
    pub metadata: BTreeMap<String, String>,
}

/// A tensor in a file.
pub(super) struct Found {
    pub name: String,
    pub dtype: DataType,
    pub shape: Vec<usize>,
    /// Bytes in the file; as many as shape and type say.
    pub range: Range<usize>,
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
