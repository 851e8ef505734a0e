//! The parts that all of ggml's block types share.

use half::f16;

/// The most numbers in a block of any type.
pub(super) const MAX_BLOCK: usize = 256;

/// The 16-bit float at a byte offset of a block.
pub(super) fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}
