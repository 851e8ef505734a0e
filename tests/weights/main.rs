//! Reading and packing of weights: every layout against its definition, and every kind of bad file.

mod bounds;
mod changed;
#[path = "../common/files.rs"]
mod container;
mod files;
#[path = "../common/fuzz.rs"]
mod fuzz;
mod gguf;
mod packing;
mod patches;
mod quantised;
mod views;

use container::file;
use fuzz::Random;
use half::{bf16, f16};

/// A safetensors file with tensors: name, element type, shape, bytes.
fn tensors(tensors: &[(&str, &str, &[usize], Vec<u8>)]) -> Vec<u8> {
    container::tensors(tensors, r#"{"format":"pt"}"#)
}

/// Encodes values in an element type; returns the bytes and the values rounded to the type.
fn encode(dtype: &str, values: &[f32]) -> (Vec<u8>, Vec<f32>) {
    let two = |bits: u16| bits.to_le_bytes();
    match dtype {
        "F32" => (values.iter().flat_map(|v| v.to_le_bytes()).collect(), values.to_vec()),
        "F16" => (
            values.iter().flat_map(|&v| two(f16::from_f32(v).to_bits())).collect(),
            values.iter().map(|&v| f16::from_f32(v).to_f32()).collect(),
        ),
        _ => (
            values.iter().flat_map(|&v| two(bf16::from_f32(v).to_bits())).collect(),
            values.iter().map(|&v| bf16::from_f32(v).to_f32()).collect(),
        ),
    }
}

const DTYPES: [&str; 3] = ["F32", "F16", "BF16"];
