//! The element types of weight files.

use std::fmt;

/// The type of a tensor's numbers in a file. Types that come in blocks hold several numbers and
/// what they share, such as a scale, in a fixed number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataType {
    /// One byte, 0 or 1.
    Bool,
    /// 8-bit integers.
    I8,
    /// 8-bit integers without sign.
    U8,
    /// 16-bit integers.
    I16,
    /// 16-bit integers without sign.
    U16,
    /// 32-bit integers.
    I32,
    /// 32-bit integers without sign.
    U32,
    /// 64-bit integers, such as CLIP's `position_ids`.
    I64,
    /// 64-bit integers without sign.
    U64,
    /// IEEE 64-bit floats.
    F64,
    /// IEEE 32-bit floats.
    F32,
    /// IEEE 16-bit floats.
    F16,
    /// The upper halves of 32-bit floats.
    Bf16,
    /// ggml: 32 numbers of 8 bits, one scale.
    Q8_0,
    /// ggml: 32 numbers of 4 bits, one scale.
    Q4_0,
    /// ggml: 32 numbers of 4 bits, scale and minimum.
    Q4_1,
    /// ggml: 32 numbers of 5 bits, one scale.
    Q5_0,
    /// ggml: 32 numbers of 5 bits, scale and minimum.
    Q5_1,
    /// ggml: 256 numbers of 2 bits, 16 scales and minima of 4 bits.
    Q2K,
    /// ggml: 256 numbers of 3 bits, 16 scales of 6 bits.
    Q3K,
    /// ggml: 256 numbers of 4 bits, 8 scales and minima of 6 bits.
    Q4K,
    /// ggml: 256 numbers of 5 bits, 8 scales and minima of 6 bits.
    Q5K,
    /// ggml: 256 numbers of 6 bits, 16 scales of 8 bits.
    Q6K,
    /// A type that is known by its name and size only.
    Other(OtherType),
}

/// A type that files may hold and this library does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OtherType {
    name: &'static str,
    block: Block,
}

/// Numbers that are stored together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Block {
    /// The number of elements.
    pub len: usize,
    pub bytes: usize,
}

impl DataType {
    /// Name in messages, numbers per block, bytes per block.
    const fn facts(self) -> (&'static str, usize, usize) {
        match self {
            DataType::Bool => ("bool", 1, 1),
            DataType::I8 => ("i8", 1, 1),
            DataType::U8 => ("u8", 1, 1),
            DataType::I16 => ("i16", 1, 2),
            DataType::U16 => ("u16", 1, 2),
            DataType::I32 => ("i32", 1, 4),
            DataType::U32 => ("u32", 1, 4),
            DataType::I64 => ("i64", 1, 8),
            DataType::U64 => ("u64", 1, 8),
            DataType::F64 => ("f64", 1, 8),
            DataType::F32 => ("f32", 1, 4),
            DataType::F16 => ("f16", 1, 2),
            DataType::Bf16 => ("bf16", 1, 2),
            DataType::Q8_0 => ("q8_0", 32, 34),
            DataType::Q4_0 => ("q4_0", 32, 18),
            DataType::Q4_1 => ("q4_1", 32, 20),
            DataType::Q5_0 => ("q5_0", 32, 22),
            DataType::Q5_1 => ("q5_1", 32, 24),
            DataType::Q2K => ("q2_k", 256, 84),
            DataType::Q3K => ("q3_k", 256, 110),
            DataType::Q4K => ("q4_k", 256, 144),
            DataType::Q5K => ("q5_k", 256, 176),
            DataType::Q6K => ("q6_k", 256, 210),
            DataType::Other(OtherType { name, block }) => (name, block.len, block.bytes),
        }
    }

    /// The type of a number in a GGUF file (`enum ggml_type` of `ggml.h`); `None` if unknown.
    pub(super) fn from_ggml(number: u32) -> Option<DataType> {
        Some(match number {
            0 => DataType::F32,
            1 => DataType::F16,
            2 => DataType::Q4_0,
            3 => DataType::Q4_1,
            6 => DataType::Q5_0,
            7 => DataType::Q5_1,
            8 => DataType::Q8_0,
            9 => DataType::other("q8_1", 32, 36),
            10 => DataType::Q2K,
            11 => DataType::Q3K,
            12 => DataType::Q4K,
            13 => DataType::Q5K,
            14 => DataType::Q6K,
            15 => DataType::other("q8_k", 256, 292),
            16 => DataType::other("iq2_xxs", 256, 66),
            17 => DataType::other("iq2_xs", 256, 74),
            18 => DataType::other("iq3_xxs", 256, 98),
            19 => DataType::other("iq1_s", 256, 50),
            20 => DataType::other("iq4_nl", 32, 18),
            21 => DataType::other("iq3_s", 256, 110),
            22 => DataType::other("iq2_s", 256, 82),
            23 => DataType::other("iq4_xs", 256, 136),
            24 => DataType::I8,
            25 => DataType::I16,
            26 => DataType::I32,
            27 => DataType::I64,
            28 => DataType::F64,
            29 => DataType::other("iq1_m", 256, 56),
            30 => DataType::Bf16,
            34 => DataType::other("tq1_0", 256, 54),
            35 => DataType::other("tq2_0", 256, 66),
            39 => DataType::other("mxfp4", 32, 17),
            _ => return None,
        })
    }

    /// The type of a safetensors file.
    pub(super) fn from_safetensors(dtype: safetensors::Dtype) -> DataType {
        use safetensors::Dtype;
        match dtype {
            Dtype::BOOL => DataType::Bool,
            Dtype::I8 => DataType::I8,
            Dtype::U8 => DataType::U8,
            Dtype::I16 => DataType::I16,
            Dtype::U16 => DataType::U16,
            Dtype::I32 => DataType::I32,
            Dtype::U32 => DataType::U32,
            Dtype::I64 => DataType::I64,
            Dtype::U64 => DataType::U64,
            Dtype::F64 => DataType::F64,
            Dtype::F32 => DataType::F32,
            Dtype::F16 => DataType::F16,
            Dtype::BF16 => DataType::Bf16,
            Dtype::F4 => DataType::other("f4", 2, 1),
            Dtype::F6_E2M3 => DataType::other("f6_e2m3", 4, 3),
            Dtype::F6_E3M2 => DataType::other("f6_e3m2", 4, 3),
            Dtype::F8_E4M3 => DataType::other("f8_e4m3", 1, 1),
            Dtype::F8_E5M2 => DataType::other("f8_e5m2", 1, 1),
            Dtype::F8_E8M0 => DataType::other("f8_e8m0", 1, 1),
            Dtype::C64 => DataType::other("c64", 1, 8),
            other => match other.bitsize() {
                bits if bits % 8 == 0 => DataType::other("a newer type", 1, bits / 8),
                bits => DataType::other("a newer type", 8, bits),
            },
        }
    }

    const fn other(name: &'static str, len: usize, bytes: usize) -> DataType {
        DataType::Other(OtherType { name, block: Block { len, bytes } })
    }

    pub(super) const fn block(self) -> Block {
        let (_, len, bytes) = self.facts();
        Block { len, bytes }
    }

    /// Whether [`super::Values`] can be made of it.
    pub(super) const fn is_readable(self) -> bool {
        use DataType::*;
        matches!(
            self,
            F32 | F16 | Bf16 | Q8_0 | Q4_0 | Q4_1 | Q5_0 | Q5_1 | Q2K | Q3K | Q4K | Q5K | Q6K
        )
    }

    /// Bytes of so many numbers; `None` if they are no whole blocks, or too many to count.
    pub(super) fn bytes_of(self, len: usize) -> Option<usize> {
        let block = self.block();
        if !len.is_multiple_of(block.len) {
            return None;
        }
        (len / block.len).checked_mul(block.bytes)
    }
}

impl fmt::Display for DataType {
    /// The name in lower case: `f16`, `i64`, `q4_k`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.facts().0)
    }
}
