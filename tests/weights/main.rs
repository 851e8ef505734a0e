//! Reading and packing weights: every layout against its definition, every kind of bad file.

mod files;
mod packing;

use std::fmt::Write;

use half::{bf16, f16};

/// A small seeded generator (Marsaglia's xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.next() as u16) as f32 / 8192.0 - 4.0).collect()
    }
}

/// A safetensors file of a header and its data.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// A file of tensors: name, element type, shape, bytes.
fn tensors(tensors: &[(&str, &str, &[usize], Vec<u8>)]) -> Vec<u8> {
    let (mut header, mut data) = (String::from(r#"{"__metadata__":{"format":"pt"}"#), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let (start, end) = (data.len(), data.len() + bytes.len());
        write!(
            header,
            r#","{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        )
        .unwrap();
        data.extend_from_slice(bytes);
    }
    header.push('}');
    file(&header, &data)
}

/// Numbers as a file has them, and as they come back.
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
