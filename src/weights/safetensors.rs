//! The header of a safetensors file, checked.

use safetensors::{SafeTensorError, SafeTensors};

use super::diagnose::diagnose;
use super::dtype::DataType;
use super::header::{Found, Header, MAX_HEADER_BYTES, MAX_TENSORS};

/// Checks the header: every tensor lies in the file, without gaps and overlaps, and has as many
/// bytes as its shape and type say. The error is the problem in words.
pub(super) fn parse(bytes: &[u8]) -> Result<Header, String> {
    let too_long = |length: &[u8; 8]| u64::from_le_bytes(*length) > MAX_HEADER_BYTES;
    let parsed = match bytes.first_chunk().is_some_and(too_long) {
        true => Err(SafeTensorError::HeaderTooLarge),
        false => SafeTensors::read_metadata(bytes),
    };
    let (header, metadata) = parsed.map_err(|error| {
        diagnose(bytes).unwrap_or_else(|| format!("not a valid safetensors file: {error}"))
    })?;
    let count = metadata.offset_keys().len();
    if count > MAX_TENSORS {
        return Err(format!("expected at most {MAX_TENSORS} tensors, got {count}"));
    }
    let data = header + 8;
    let tensors = metadata.offset_keys().into_iter().filter_map(|name| {
        let info = metadata.info(&name)?;
        let (start, end) = info.data_offsets;
        Some(Found {
            name,
            dtype: DataType::from_safetensors(info.dtype),
            shape: info.shape.clone(),
            range: data + start..data + end,
        })
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
