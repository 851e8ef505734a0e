//! Diagnosis of a file that is not valid safetensors: the first problem, as a message.

use std::collections::BTreeMap;

use safetensors::Dtype;
use serde::Deserialize;
use serde_json::Value;

use super::header::MAX_HEADER_BYTES;
use super::pickle::is_pickle;

/// An entry of the header, with nothing checked.
#[derive(Deserialize)]
struct Raw {
    dtype: Value,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// The first problem of a file of `len` bytes that begins with these and that the `safetensors` crate refused; `None` if it looks good here.
pub(super) fn diagnose(bytes: &[u8], len: u64) -> Option<String> {
    let again = "download it again";
    if bytes.starts_with(b"version https://git-lfs") {
        return Some("expected weights, got a git-lfs pointer: run `git lfs pull`".into());
    }
    if is_pickle(bytes) {
        return Some(
            "expected safetensors, got a PyTorch pickle (.bin, .ckpt, .pt): use the .safetensors \
             file of the same model"
                .into(),
        );
    }
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Some(format!("truncated: expected at least 8 bytes, got {}; {again}", bytes.len()));
    };
    let header_bytes = u64::from_le_bytes(*length);
    if header_bytes > MAX_HEADER_BYTES {
        return Some(format!(
            "not a safetensors file: expected a header of at most {MAX_HEADER_BYTES} bytes, got \
             {header_bytes}"
        ));
    }
    let Some((header, _)) = rest.split_at_checked(header_bytes as usize) else {
        return Some(format!(
            "truncated: expected a header of {header_bytes} bytes, got {}; {again}",
            rest.len()
        ));
    };
    let entries: BTreeMap<String, Value> = match serde_json::from_slice(header) {
        Ok(entries) => entries,
        Err(error) => {
            return Some(format!("damaged: the header is not a JSON object: {error}; {again}"));
        }
    };

    let mut tensors = Vec::new();
    for (name, entry) in entries {
        if name == "__metadata__" {
            continue;
        }
        match Raw::deserialize(entry) {
            Ok(raw) => tensors.push((name, raw)),
            Err(error) => return Some(format!("{name}: damaged header: {error}; {again}")),
        }
    }
    tensors.sort_by_key(|(_, raw)| raw.data_offsets);
    let mut next = 0;
    for (name, Raw { dtype, shape, data_offsets: [start, end] }) in &tensors {
        let Ok(known) = Dtype::deserialize(dtype) else {
            return Some(format!("{name}: expected f32, f16 or bf16, got {dtype}"));
        };
        if *start != next || end < start {
            return Some(format!(
                "{name}: damaged header: expected its data to start at {next}, got {start}..{end}"
            ));
        }
        let elements = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim));
        let bits = elements.and_then(|elements| elements.checked_mul(known.bitsize() as u64));
        if bits != (end - start).checked_mul(8) {
            return Some(format!(
                "{name}: damaged header: {known:?} {shape:?} does not fit in {} bytes",
                end - start
            ));
        }
        next = *end;
    }
    let got = len.saturating_sub(8 + header_bytes);
    if got < next {
        return Some(format!("truncated: expected {next} bytes of tensors, got {got}; {again}"));
    }
    (got > next).then(|| format!("damaged: {} bytes after the last tensor; {again}", got - next))
}
