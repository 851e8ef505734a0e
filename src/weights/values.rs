//! The numbers of a tensor in a file, converted to f32 a run at a time.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::block::MAX_BLOCK;
use super::dtype::DataType;
use super::low_rank::LowRank;
use super::quants::dequantise;

/// The numbers of a tensor: little-endian, not necessarily aligned, maybe in quantised blocks.
/// Views and low-rank patches are applied as the numbers are read.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    bytes: &'a [u8],
    dtype: DataType,
    /// Rows and columns in the file of a matrix that is read as its transpose.
    transposed: Option<[usize; 2]>,
    patches: &'a [LowRank],
}

impl<'a> From<&'a [f32]> for Values<'a> {
    fn from(values: &'a [f32]) -> Self {
        Values::plain(DataType::F32, bytemuck::cast_slice(values))
    }
}

impl<'a> Values<'a> {
    /// The numbers in `bytes`; `None` if that type cannot be read. Bytes left over after the last
    /// whole block are ignored.
    pub fn new(dtype: DataType, bytes: &'a [u8]) -> Option<Self> {
        dtype.is_readable().then(|| Values::plain(dtype, bytes))
    }

    fn plain(dtype: DataType, bytes: &'a [u8]) -> Self {
        Values { bytes, dtype, transposed: None, patches: &[] }
    }

    /// The transpose of these numbers as a matrix of `[rows, columns]` in the file.
    pub(super) fn transposed(self, file_shape: [usize; 2]) -> Self {
        Values { transposed: Some(file_shape), ..self }
    }

    /// These numbers with the products of patches of the same shape added.
    pub(super) fn patched(self, patches: &'a [LowRank]) -> Self {
        Values { patches, ..self }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        let block = self.dtype.block();
        self.bytes.len() / block.bytes * block.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Converts the numbers from `start` on into `out`, until one of the two ends. Exact for
    /// floats; quantised numbers are what ggml computes in f32; patches are added in f32.
    pub fn read(&self, start: usize, out: &mut [f32]) {
        let len = out.len().min(self.len().saturating_sub(start));
        if len == 0 {
            return;
        }
        let out = &mut out[..len];
        match self.transposed {
            None => self.read_file(start, out),
            Some([rows, columns]) => {
                for (i, out) in (start..).zip(out.chunks_exact_mut(1)) {
                    self.read_file(i % rows * columns + i / rows, out);
                }
            }
        }
        for patch in self.patches {
            patch.add_to(start, out);
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
