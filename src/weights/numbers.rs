//! The numbers of a tensor in a file, converted to f32 a run at a time.

use std::borrow::Cow;
use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::block::MAX_BLOCK;
use super::dtype::DataType;
use super::file::File;
use super::quants::dequantise;

/// The numbers of a tensor: little-endian, not necessarily aligned, maybe in quantised blocks.
#[derive(Clone)]
pub(super) struct Numbers<'a> {
    bytes: Bytes<'a>,
    dtype: DataType,
    /// Rows and columns in the file of a matrix that is read as its transpose.
    transposed: Option<[usize; 2]>,
}

/// Where the numbers are.
#[derive(Clone)]
enum Bytes<'a> {
    Memory(Cow<'a, [u8]>),
    File(&'a File, Range<usize>),
}

/// The most numbers that are converted at once.
const RUN: usize = 4096;

/// Room for a run of f32, or of any quantised type with the blocks at both ends.
const BUFFER_BYTES: usize = 4 * RUN + 2 * MAX_BLOCK * 4;

impl Bytes<'_> {
    fn len(&self) -> usize {
        match self {
            Bytes::Memory(bytes) => bytes.len(),
            Bytes::File(_, range) => range.len(),
        }
    }

    /// Gives a range of the bytes to a function.
    fn with<R>(&self, range: Range<usize>, read: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Bytes::Memory(bytes) => read(&bytes[range]),
            Bytes::File(file, all) => {
                let mut buffer = [0; BUFFER_BYTES];
                file.with(all.start + range.start..all.start + range.end, &mut buffer, read)
            }
        }
    }
}

impl<'a> Numbers<'a> {
    /// The numbers in a range of a file, which lies in it; see [`new`](Numbers::new).
    pub(super) fn in_file(
        dtype: DataType,
        file: &'a File,
        range: Range<usize>,
        transposed: Option<[usize; 2]>,
    ) -> Option<Self> {
        if !dtype.is_readable() {
            return None;
        }
        // The numbers of a transpose are read one by one.
        let bytes = match transposed.is_some() && file.is_on_disk() {
            true => {
                let mut whole = vec![0; range.len()];
                file.with(range, &mut whole, |_| ());
                Bytes::Memory(Cow::Owned(whole))
            }
            false => Bytes::File(file, range),
        };
        Some(Numbers { bytes, dtype, transposed })
    }

    /// The numbers in `bytes`; `None` if that type cannot be read. `transposed` has the rows and
    /// columns in the file of a matrix that is to be read as its transpose.
    pub(super) fn new(
        dtype: DataType,
        bytes: &'a [u8],
        transposed: Option<[usize; 2]>,
    ) -> Option<Self> {
        let bytes = Bytes::Memory(Cow::Borrowed(bytes));
        dtype.is_readable().then_some(Numbers { bytes, dtype, transposed })
    }

    /// f32 values in memory.
    pub(super) fn of_f32(values: &'a [f32]) -> Self {
        let bytes = Bytes::Memory(Cow::Borrowed(bytemuck::cast_slice(values)));
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
        for (start, out) in (start..).step_by(RUN).zip(out.chunks_mut(RUN)) {
            let end = (start + out.len()).div_ceil(block.len) * block.bytes;
            let range = start / block.len * block.bytes..end;
            self.bytes.with(range, |bytes| self.convert(start % block.len, bytes, out));
        }
    }

    /// The numbers in whole blocks of the file without the first `skip`.
    fn convert(&self, skip: usize, bytes: &[u8], out: &mut [f32]) {
        let block = self.dtype.block();
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
                let (mut skip, mut rest) = (skip, out);
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
