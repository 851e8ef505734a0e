//! Numbers as they are in a file, converted to f32 a run at a time.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// The numbers of a tensor in one of the three types that weights are saved in, little-endian and
/// not necessarily aligned. A byte left over at the end is ignored.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// IEEE 32-bit floats.
    F32(&'a [u8]),
    /// IEEE 16-bit floats.
    F16(&'a [u8]),
    /// The upper halves of 32-bit floats.
    Bf16(&'a [u8]),
}

impl<'a> From<&'a [f32]> for Values<'a> {
    fn from(values: &'a [f32]) -> Self {
        Values::F32(bytemuck::cast_slice(values))
    }
}

impl Values<'_> {
    /// How many numbers there are.
    pub fn len(&self) -> usize {
        match self {
            Values::F32(bytes) => bytes.len() / 4,
            Values::F16(bytes) | Values::Bf16(bytes) => bytes.len() / 2,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Converts the numbers from `start` on into `out`, until one of the two ends. Exact for all
    /// three types.
    pub fn read(&self, start: usize, out: &mut [f32]) {
        let len = out.len().min(self.len().saturating_sub(start));
        let out = &mut out[..len];
        match self {
            Values::F32(bytes) if len > 0 => {
                bytemuck::cast_slice_mut(out).copy_from_slice(&bytes[4 * start..][..4 * len]);
            }
            Values::F16(bytes) if len > 0 => {
                let bytes = &bytes[2 * start..][..2 * len];
                let mut aligned = [f16::ZERO; 512];
                for (out, bytes) in out.chunks_mut(512).zip(bytes.chunks(1024)) {
                    let aligned = &mut aligned[..out.len()];
                    bytemuck::cast_slice_mut(aligned.reinterpret_cast_mut()).copy_from_slice(bytes);
                    aligned.convert_to_f32_slice(out);
                }
            }
            Values::Bf16(bytes) if len > 0 => {
                let bytes = bytes[2 * start..][..2 * len].chunks_exact(2);
                for (out, bytes) in out.iter_mut().zip(bytes) {
                    *out = f32::from_bits(u32::from_le_bytes([0, 0, bytes[0], bytes[1]]));
                }
            }
            _ => {}
        }
    }
}

// File bytes are copied into numbers as they are.
const _: () = assert!(cfg!(target_endian = "little"), "croquis needs a little-endian machine");
