//! The numbers of a tensor in a file, converted to f32 a run at a time.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::block::MAX_BLOCK;
use super::dtype::DataType;
use super::quants::dequantise;

/// The numbers of a tensor: little-endian, not necessarily aligned, maybe in quantised blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers<'a> {
    bytes: &'a [u8],
    dtype: DataType,
    /// Rows and columns in the file of a matrix that is read as its transpose.
    transposed: Option<[usize; 2]>,
}

impl<'a> Numbers<'a> {
    /// The numbers in `bytes`; `None` if that type cannot be read. `transposed` has the rows and
    /// columns in the file of a matrix that is to be read as its transpose.
    pub(super) fn new(
        dtype: DataType,
        bytes: &'a [u8],
        transposed: Option<[usize; 2]>,
    ) -> Option<Self> {
        dtype.is_readable().then_some(Numbers { bytes, dtype, transposed })
    }

    /// f32 values in memory.
    pub(super) fn of_f32(values: &'a [f32]) -> Self {
        let bytes = bytemuck::cast_slice(values);
        Numbers { bytes, dtype: DataType::F32, transposed: None }
    }

    /// The number of elements.
    pub(super) fn len(&self) -> usize {
        let block = self.dtype.block();
        self.bytes.len() / block.bytes * block.len
    }

    /// Converts the numbers from `start` on into `out`; all of them must exist.
    pub(super) fn read(&self, start: usize, out: &mut [f32]) {
        match self.transposed {
            None => self.read_file(start, out),
            Some([rows, columns]) => {
                for (i, out) in (start..).zip(out.chunks_exact_mut(1)) {
                    self.read_file(i % rows * columns + i / rows, out);
                }
            }
        }
    }

    /// The numbers in the order of the file, all of which exist.
    fn read_file(&self, start: usize, out: &mut [f32]) {
        let block = self.dtype.block();
        let bytes = &self.bytes[start / block.len * block.bytes..];
        match self.dtype {
            DataType::F32 => {
                let bytes = &bytes[..size_of_val(out)];
                bytemuck::cast_slice_mut(out).copy_from_slice(bytes);
            }
            DataType::F16 => widen_halves(bytes, out),
            DataType::Bf16 => {
                for (out, bytes) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                    *out = f32::from_bits(u32::from_le_bytes([0, 0, bytes[0], bytes[1]]));
                }
            }
            quantised => {
                let mut wide = [0.0; MAX_BLOCK];
                let (mut skip, mut rest) = (start % block.len, out);
                for bytes in bytes.chunks_exact(block.bytes) {
                    dequantise(quantised, bytes, &mut wide);
                    let (now, later) = rest.split_at_mut(rest.len().min(block.len - skip));
                    now.copy_from_slice(&wide[skip..][..now.len()]);
                    (skip, rest) = (0, later);
                    if rest.is_empty() {
                        break;
                    }
                }
            }
        }
    }
}

fn widen_halves(bytes: &[u8], out: &mut [f32]) {
    let mut aligned = [f16::ZERO; 512];
    for (out, bytes) in out.chunks_mut(512).zip(bytes.chunks(1024)) {
        let aligned = &mut aligned[..out.len()];
        let bytes = &bytes[..size_of_val(aligned)];
        bytemuck::cast_slice_mut(aligned.reinterpret_cast_mut()).copy_from_slice(bytes);
        aligned.convert_to_f32_slice(out);
    }
}

// File bytes are copied into numbers as they are.
const _: () = assert!(cfg!(target_endian = "little"), "croquis needs a little-endian machine");
