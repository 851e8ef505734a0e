//! ggml's blocks of 32 numbers, as `ggml-quants.c` of ggml defines them. A block begins with its
//! scale d as a half; two types add a minimum m. Number i of a block is
//!
//! - Q8_0: d·qᵢ, q a signed byte;
//! - Q4_0: d·(qᵢ − 8) and Q4_1: d·qᵢ + m, where byte j has q of j in its lower half, of j + 16 in
//!   its upper half;
//! - Q5_0: d·(qᵢ − 16) and Q5_1: d·qᵢ + m, the same, and a fifth bit in bit i of a 32-bit number.

use super::block::{MAX_BLOCK, half};
use super::dtype::DataType;

/// Writes the numbers of a block to the start of `out`. Types without blocks write nothing.
pub(super) fn dequantise(dtype: DataType, block: &[u8], out: &mut [f32; MAX_BLOCK]) {
    match dtype {
        DataType::Q8_0 => {
            let d = half(block, 0);
            for (out, &q) in out.iter_mut().zip(&block[2..34]) {
                *out = d * f32::from(q as i8);
            }
        }
        DataType::Q4_0 => nibbles(&block[2..18], 0, out, |q| half(block, 0) * (q - 8.0)),
        DataType::Q4_1 => {
            let (d, m) = (half(block, 0), half(block, 2));
            nibbles(&block[4..20], 0, out, |q| d * q + m);
        }
        DataType::Q5_0 => {
            let d = half(block, 0);
            nibbles(&block[6..22], word(block, 2), out, |q| d * (q - 16.0));
        }
        DataType::Q5_1 => {
            let (d, m) = (half(block, 0), half(block, 2));
            nibbles(&block[8..24], word(block, 4), out, |q| d * q + m);
        }
        _ => super::kquants::dequantise(dtype, block, out),
    }
}

fn word(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// 32 numbers from the halves of 16 bytes; bit i of `fifth` is bit 4 of number i.
fn nibbles(bytes: &[u8], fifth: u32, out: &mut [f32; MAX_BLOCK], value: impl Fn(f32) -> f32) {
    for (j, &byte) in bytes.iter().enumerate() {
        let high = |i: usize| (fifth >> i & 1) << 4;
        out[j] = value((u32::from(byte & 15) | high(j)) as f32);
        out[j + 16] = value((u32::from(byte >> 4) | high(j + 16)) as f32);
    }
}
