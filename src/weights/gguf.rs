//! The header of a GGUF file (`docs/gguf.md` of ggml), versions 2 and 3, little-endian: magic,
//! version, counts; metadata as keys and typed values; per tensor its name, dimensions (innermost
//! first), type and offset; then, aligned, the tensors.
//!
//! Files of diffusion models are written by stable-diffusion.cpp and by ComfyUI-GGUF. The latter
//! saves some tensors in another shape and tells the original in `comfy.gguf.orig_shape.NAME`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::dtype::DataType;
pub(super) use super::gguf_value::MAX_HEADER_BYTES;
use super::gguf_value::{Reader, Value};
use super::header::{Found, Header, MAX_TENSORS};

/// The first bytes of every file.
pub(super) const MAGIC: &[u8] = b"GGUF";

/// The most dimensions of a tensor in ggml.
const MAX_DIMS: u32 = 4;

/// The alignment of the tensors unless the metadata tell another.
const ALIGNMENT: u64 = 32;

/// The most metadata. ComfyUI-GGUF's files have a few hundred.
const MAX_PAIRS: u64 = 1 << 16;

/// Reads the header, which lies in the first bytes of a file of `len` bytes, and checks every tensor
/// against that length. What is allocated is
/// bounded by the bytes that were read. The error is the problem in words.
pub(super) fn parse(bytes: &[u8], len: u64) -> Result<Header, String> {
    let header = &bytes[..bytes.len().min(MAX_HEADER_BYTES)];
    let mut reader = Reader::new(header, MAGIC.len());
    let version = reader.u32("the version")?;
    if (1..=3).contains(&version.swap_bytes()) {
        return Err("expected a little-endian GGUF file, got a big-endian one".into());
    }
    if !(2..=3).contains(&version) {
        return Err(format!("expected a GGUF file of version 2 or 3, got version {version}"));
    }
    let tensors = reader.u64("the number of tensors")?;
    let pairs = reader.u64("the number of metadata")?;
    for (what, most, got) in
        [("tensors", MAX_TENSORS as u64, tensors), ("metadata", MAX_PAIRS, pairs)]
    {
        if got > most {
            return Err(format!("expected at most {most} {what}, got {got}"));
        }
    }

    let mut metadata = BTreeMap::new();
    let mut shapes = BTreeMap::new();
    let mut alignment = ALIGNMENT;
    for _ in 0..pairs {
        let key = reader.string("a metadata key")?;
        match reader.value(&key)? {
            Value::Text(text) => drop(metadata.insert(key, text)),
            Value::Integer(number) => {
                if key == "general.alignment" {
                    alignment = u64::try_from(number)
                        .ok()
                        .filter(|alignment| alignment.is_power_of_two())
                        .ok_or_else(|| format!("{key}: expected a power of two, got {number}"))?;
                }
                metadata.insert(key, number.to_string());
            }
            Value::Integers(numbers) => {
                if let Some(tensor) = key.strip_prefix("comfy.gguf.orig_shape.") {
                    shapes.insert(tensor.to_string(), numbers);
                }
            }
            Value::Skipped => {}
        }
    }

    let (mut found, mut names) = (Vec::new(), BTreeSet::new());
    for _ in 0..tensors {
        let name = reader.string("the name of a tensor")?;
        let tensor = tensor(&mut reader, &name, shapes.get(&name))
            .map_err(|problem| format!("{name}: {problem}"))?;
        if !names.insert(name.clone()) {
            return Err(format!("{name}: expected one tensor of that name, got several"));
        }
        found.push((name, tensor));
    }

    // Without tensors there is nothing to align.
    let data = (reader.position() as u64).checked_next_multiple_of(alignment);
    let file_bytes = usize::try_from(len).unwrap_or(usize::MAX);
    let data = data.unwrap_or(u64::MAX).min(len) as usize;
    let mut tensors = Vec::new();
    for (name, (dtype, shape, offset, len)) in found {
        let range = usize::try_from(offset).ok().and_then(|offset| {
            let start = data.checked_add(offset)?;
            Some(start..start.checked_add(len)?)
        });
        let Some(range) = range.filter(|range| range.end <= file_bytes) else {
            return Err(format!(
                "{name}: truncated: expected {len} bytes of {dtype} {shape:?} at {offset}, got {} \
                 bytes of tensors; download it again",
                file_bytes - data
            ));
        };
        tensors.push(Found { name, dtype, shape, range });
    }
    no_overlaps(&mut tensors)?;
    Ok(Header { tensors, metadata })
}

/// Type, shape, offset and number of bytes.
type Tensor = (DataType, Vec<usize>, u64, usize);

fn tensor(
    reader: &mut Reader<'_>,
    name: &str,
    original: Option<&Vec<i128>>,
) -> Result<Tensor, String> {
    let count = reader.u32("the number of dimensions")?;
    if count > MAX_DIMS {
        return Err(format!("expected at most {MAX_DIMS} dimensions, got {count}"));
    }
    let mut shape = Vec::new();
    for _ in 0..count {
        let dim = reader.u64("a dimension")?;
        shape.push(usize::try_from(dim).map_err(|_| format!("dimension {dim} is too large"))?);
    }
    let number = reader.u32("the type")?;
    let offset = reader.u64("the offset")?;
    let dtype = DataType::from_ggml(number)
        .ok_or_else(|| format!("expected a type that ggml knows, got number {number}"))?;
    // Blocks lie along the innermost dimension, which ggml names first.
    let row = shape.first().copied().unwrap_or(1);
    let block = dtype.block().len;
    if !row.is_multiple_of(block) {
        return Err(format!("expected rows of a multiple of {block} for {dtype}, got {row}"));
    }
    shape.reverse();
    let product = |shape: &[usize]| shape.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim));
    let elements = product(&shape);
    let Some(len) = elements.and_then(|elements| dtype.bytes_of(elements)) else {
        return Err(format!("{dtype} {shape:?} is too large"));
    };
    if let Some(original) = original {
        let dims: Option<Vec<usize>> =
            original.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        match dims {
            Some(dims) if product(&dims) == elements => shape = dims,
            _ => {
                return Err(format!(
                    "expected an original shape of as many elements as {shape:?}, got \
                     {original:?} in comfy.gguf.orig_shape.{name}"
                ));
            }
        }
    }
    Ok((dtype, shape, offset, len))
}

fn no_overlaps(tensors: &mut [Found]) -> Result<(), String> {
    tensors.sort_by_key(|tensor| (tensor.range.start, tensor.range.end));
    let mut end = 0;
    for Found { name, range: Range { start, end: next }, .. } in tensors {
        if *start < end {
            return Err(format!("{name}: damaged: its data overlap another tensor's"));
        }
        end = *next;
    }
    Ok(())
}
