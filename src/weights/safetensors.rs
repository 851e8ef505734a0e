//! The header of a safetensors file, checked.

use safetensors::tensor::Metadata;

use super::diagnose::diagnose;
use super::dtype::DataType;
use super::header::{Found, Header, MAX_HEADER_BYTES, MAX_TENSORS};

/// The end of the header in a file that begins with these bytes; that of a longer header than is read
/// is 8, so that it is refused.
pub(super) fn header_end(start: &[u8]) -> usize {
    let length = start.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    8 + if length <= MAX_HEADER_BYTES { length as usize } else { 0 }
}

/// Checks the header, which lies in the first bytes of a file of `len` bytes: every tensor lies in the file, without gaps and overlaps, and has as many
/// bytes as its shape and type say. The error is the problem in words.
pub(super) fn parse(start: &[u8], len: u64) -> Result<Header, String> {
    let bad = |error: String| {
        diagnose(start, len).unwrap_or_else(|| format!("not a valid safetensors file: {error}"))
    };
    let header = start.get(8..header_end(start)).unwrap_or_default();
    // `Metadata` checks that tensors follow each other and have the bytes of their shapes.
    let metadata: Metadata = serde_json::from_slice(header).map_err(|e| bad(e.to_string()))?;
    let data = 8 + header.len();
    let infos = metadata.offset_keys().into_iter().filter_map(|name| {
        let info = metadata.info(&name)?;
        Some((name, info))
    });
    let end = infos.clone().map(|(_, info)| info.data_offsets.1).max().unwrap_or(0);
    if data.checked_add(end).map(|end| end as u64) != Some(len) {
        return Err(bad("its length is not that of its tensors".into()));
    }
    let count = infos.clone().count();
    if count > MAX_TENSORS {
        return Err(format!("expected at most {MAX_TENSORS} tensors, got {count}"));
    }
    let tensors = infos.map(|(name, info)| {
        let (start, end) = info.data_offsets;
        let (dtype, shape) = (DataType::from_safetensors(info.dtype), info.shape.clone());
        Found { name, dtype, shape, range: data + start..data + end }
    });
    Ok(Header {
        tensors: tensors.collect(),
        metadata: metadata
            .metadata()
            .iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
    })
}
