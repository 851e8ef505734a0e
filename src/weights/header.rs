//! The header of a file of tensors, whatever its format.

use std::collections::BTreeMap;
use std::ops::Range;

use super::dtype::DataType;

/// The most tensors of a file. Models of thousands of layers have some ten thousand.
pub(super) const MAX_TENSORS: usize = 1 << 16;

/// The most bytes of a safetensors header. Those of models have less than a megabyte, those of LoRAs
/// with all captions of their training some.
pub(super) const MAX_HEADER_BYTES: u64 = 16 << 20;

/// The header of a file: its tensors and metadata.
#[derive(Default)]
pub(super) struct Header {
    pub tensors: Vec<Found>,
    pub metadata: BTreeMap<String, String>,
}

/// A tensor of a file's header.
pub(super) struct Found {
    pub name: String,
    pub dtype: DataType,
    pub shape: Vec<usize>,
    /// Bytes in the file; as many as shape and type say.
    pub range: Range<usize>,
}
