//! Storage formats of weights in GPU memory.

use std::fmt;

use crate::shape::Storage;

/// The storage format of a weight in GPU memory. It is independent of the storage type of the
/// activations: a shader reads a weight through the function `weight_quad` of
/// `shaders/lib/weight_FORMAT.wgsl`, which converts to f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WeightFormat {
    /// 16-bit floats in native registers (needs the `shader-f16` feature).
    F16,
    /// Pairs of 16-bit floats in a `u32`, the first in the lower half: the same bytes as
    /// [`WeightFormat::F16`], for drivers without `shader-f16`.
    Packed,
    /// 32-bit floats.
    F32,
}

impl WeightFormat {
    /// Every format.
    pub const ALL: [WeightFormat; 3] = [WeightFormat::F16, WeightFormat::Packed, WeightFormat::F32];

    /// The name in listings and file names: `f16`, `packed` or `f32`.
    pub fn name(self) -> &'static str {
        match self {
            WeightFormat::F16 => "f16",
            WeightFormat::Packed => "packed",
            WeightFormat::F32 => "f32",
        }
    }

    /// Bits of one element.
    pub fn bits(self) -> usize {
        match self {
            WeightFormat::F16 | WeightFormat::Packed => 16,
            WeightFormat::F32 => 32,
        }
    }

    /// Bytes of so many elements, rounded up to whole bytes.
    pub fn bytes(self, elements: usize) -> usize {
        (elements * self.bits()).div_ceil(8)
    }
}

impl From<Storage> for WeightFormat {
    /// The format whose bytes and arithmetic are those of activations of this storage type.
    fn from(storage: Storage) -> Self {
        match storage {
            Storage::F16 => WeightFormat::F16,
            Storage::Packed => WeightFormat::Packed,
            Storage::F32 => WeightFormat::F32,
        }
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
