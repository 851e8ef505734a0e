//! ggml's blocks of 256 numbers ("K-quants"), as `ggml-quants.c` of ggml defines them: groups of
//! 16 or 32 numbers with scales of their own, which are small integers times the block's d; some
//! types subtract a minimum, a small integer times the block's m.

use super::block::{MAX_BLOCK, half};
use super::dtype::DataType;

/// Writes the 256 numbers of a block. Types without such blocks write nothing.
pub(super) fn dequantise(dtype: DataType, block: &[u8], out: &mut [f32; MAX_BLOCK]) {
    match dtype {
        DataType::Q2K => q2(block, out),
        DataType::Q3K => q3(block, out),
        DataType::Q4K => q4(block, out),
        DataType::Q5K => q5(block, out),
        DataType::Q6K => q6(block, out),
        _ => {}
    }
}

/// The position of number i of two-bit fields: in a run of 128 numbers, 32 bytes hold four numbers each,
/// the lowest bits those of the first 32. Returns byte and shift.
fn two_bits(i: usize) -> (usize, usize) {
    (i / 128 * 32 + i % 32, i % 128 / 32 * 2)
}

/// 16 bytes of scale (lower half) and minimum (upper half), 64 of two bits, d, m.
fn q2(block: &[u8], out: &mut [f32; MAX_BLOCK]) {
    let (scales, bits) = (&block[..16], &block[16..80]);
    let (d, m) = (half(block, 80), half(block, 82));
    for (i, out) in out.iter_mut().enumerate() {
        let (byte, shift) = two_bits(i);
        let scale = scales[i / 16];
        let q = bits[byte] >> shift & 3;
        *out = d * f32::from(scale & 15) * f32::from(q) - m * f32::from(scale >> 4);
    }
}

/// 32 bytes of third bits, where bit i/32 of byte i mod 32 belongs to number i and a missing bit
/// subtracts 4; 64 of two bits; 12 of 6-bit scales less 32; d.
fn q3(block: &[u8], out: &mut [f32; MAX_BLOCK]) {
    let (third, bits, packed) = (&block[..32], &block[32..96], &block[96..108]);
    let d = half(block, 108);
    let scale = |group: usize| {
        let low = packed[group % 8] >> (group / 8 * 4) & 15;
        let high = packed[8 + group % 4] >> (group / 4 * 2) & 3;
        f32::from(low | high << 4) - 32.0
    };
    for (group, out) in out.chunks_exact_mut(16).enumerate() {
        let scale = d * scale(group);
        for (i, out) in (group * 16..).zip(out) {
            let (byte, shift) = two_bits(i);
            let q = bits[byte] >> shift & 3 | (third[i % 32] >> (i / 32) & 1) << 2;
            *out = scale * (f32::from(q) - 4.0);
        }
    }
}

/// Scale and minimum of a group of 32 in the 12 bytes that Q4_K and Q5_K share: 6 bits each, of
/// the last four groups in a half of a byte and the upper bits of the first four's.
fn scale_and_minimum(packed: &[u8], group: usize) -> (f32, f32) {
    let (scale, minimum) = if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        (
            packed[group + 4] & 15 | packed[group - 4] >> 6 << 4,
            packed[group + 4] >> 4 | packed[group] >> 6 << 4,
        )
    };
    (f32::from(scale), f32::from(minimum))
}

/// d, m, 12 bytes of scales and minima, 128 of four bits: in each run of 64 numbers, 32 bytes have
/// the first 32 in their lower halves.
fn q4(block: &[u8], out: &mut [f32; MAX_BLOCK]) {
    let (d, m) = (half(block, 0), half(block, 2));
    let (packed, bits) = (&block[4..16], &block[16..144]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = scale_and_minimum(packed, group);
        let (scale, minimum) = (d * scale, m * minimum);
        for (out, &byte) in out.iter_mut().zip(&bits[group / 2 * 32..]) {
            *out = scale * f32::from(byte >> (group % 2 * 4) & 15) - minimum;
        }
    }
}

/// As Q4_K, with 32 bytes of fifth bits before the four: bit i/32 of byte i mod 32.
fn q5(block: &[u8], out: &mut [f32; MAX_BLOCK]) {
    let (d, m) = (half(block, 0), half(block, 2));
    let (packed, fifth, bits) = (&block[4..16], &block[16..48], &block[48..176]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = scale_and_minimum(packed, group);
        let (scale, minimum) = (d * scale, m * minimum);
        let bytes = fifth.iter().zip(&bits[group / 2 * 32..]);
        for (out, (&fifth, &byte)) in out.iter_mut().zip(bytes) {
            let q = byte >> (group % 2 * 4) & 15 | (fifth >> group & 1) << 4;
            *out = scale * f32::from(q) - minimum;
        }
    }
}

/// 128 bytes of four bits: in each run of 128 numbers, 64 bytes have the first 64 in their lower
/// halves; 64 of two bits; 16 signed scales; d. Numbers are less 32.
fn q6(block: &[u8], out: &mut [f32; MAX_BLOCK]) {
    let (four, two, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = half(block, 208);
    for (i, out) in out.iter_mut().enumerate() {
        let low = four[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
        let (byte, shift) = two_bits(i);
        let q = low | (two[byte] >> shift & 3) << 4;
        *out = d * f32::from(scales[i / 16] as i8) * (f32::from(q) - 32.0);
    }
}
