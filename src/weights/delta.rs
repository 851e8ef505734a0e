//! Changes of a weight whose numbers are computed as they are needed, so that none takes as much
//! memory as the weight.

use std::ops::Range;
use std::sync::Arc;

use super::dtype::DataType;
use super::file::File;
use super::low_rank::LowRank;
use super::numbers::Numbers;
use crate::error::Result;

/// The number of elements that are computed at a time where two changes are combined.
const RUN: usize = 1024;

/// A matrix `[O, I·kh·kw]`: the change ΔW of a weight `[O, I, kh, kw]` (or fewer dimensions).
/// Cloning it copies no numbers.
#[derive(Clone, Debug)]
pub enum Delta {
    /// A product of two thin matrices (Hu et al., LoRA, 2021).
    LowRank(LowRank),
    /// The product of two matrices of the same shape, element by element (Hyeon-Woo et al.,
    /// FedPara, 2021, which LyCORIS calls LoHa).
    Hadamard(Box<[Delta; 2]>),
    /// The Kronecker product of two matrices `[a, b]` and `[c, d]` (Yeh et al., LyCORIS, 2023:
    /// LoKr), `[a·c, b·d]`: each element of the first times the whole of the second.
    Kronecker(Box<[Delta; 2]>),
    /// All elements, in a file.
    File(FileTensor),
}

impl Delta {
    /// Rows O and columns I·kh·kw; `None` if they are too many to count, or the factors of an
    /// element-wise product differ in shape.
    pub fn shape(&self) -> Option<[usize; 2]> {
        match self {
            Delta::LowRank(product) => Some(product.shape()),
            Delta::Hadamard(factors) => {
                let [one, other] = [factors[0].shape()?, factors[1].shape()?];
                (one == other).then_some(one)
            }
            Delta::Kronecker(factors) => {
                let [[a, b], [c, d]] = [factors[0].shape()?, factors[1].shape()?];
                Some([a.checked_mul(c)?, b.checked_mul(d)?])
            }
            Delta::File(tensor) => Some(tensor.matrix),
        }
    }

    /// # Errors
    /// `Io` if a file of the change was changed while it was in use.
    pub(super) fn intact(&self) -> Result<()> {
        match self {
            Delta::LowRank(_) => Ok(()),
            Delta::Hadamard(factors) | Delta::Kronecker(factors) => {
                factors.iter().try_for_each(Delta::intact)
            }
            Delta::File(tensor) => tensor.file.intact(),
        }
    }

    /// Adds `scale` times the elements from `start` on, in row-major order, all of which exist.
    pub(super) fn add_to(&self, start: usize, scale: f32, out: &mut [f32]) {
        match self {
            Delta::LowRank(product) => product.add_to(start, scale, out),
            Delta::File(tensor) => {
                let mut run = [0.0; RUN];
                for (at, out) in (start..).step_by(RUN).zip(out.chunks_mut(RUN)) {
                    let run = &mut run[..out.len()];
                    tensor.read(at, run);
                    out.iter_mut().zip(run).for_each(|(out, value)| *out += scale * *value);
                }
            }
            Delta::Hadamard(factors) => {
                for (at, out) in (start..).step_by(RUN).zip(out.chunks_mut(RUN)) {
                    let (mut one, mut other) = ([0.0; RUN], [0.0; RUN]);
                    let (one, other) = (&mut one[..out.len()], &mut other[..out.len()]);
                    factors[0].add_to(at, 1.0, one);
                    factors[1].add_to(at, 1.0, other);
                    for ((out, one), other) in out.iter_mut().zip(one).zip(other) {
                        *out += *one * *other * scale;
                    }
                }
            }
            Delta::Kronecker(factors) => {
                let [left, right] = &**factors;
                let (Some([_, blocks]), Some([rows, columns])) = (left.shape(), right.shape())
                else {
                    return;
                };
                let (mut at, mut rest) = (start, out);
                while !rest.is_empty() {
                    let (row, column) = (at / (blocks * columns), at % (blocks * columns));
                    let (block, column) = (column / columns, column % columns);
                    let (now, later) = rest.split_at_mut(rest.len().min(columns - column));
                    let mut factor = [0.0];
                    left.add_to(row / rows * blocks + block, 1.0, &mut factor);
                    right.add_to(row % rows * columns + column, factor[0] * scale, now);
                    (at, rest) = (at + now.len(), later);
                }
            }
        }
    }
}

/// A tensor that is read from its file when it is needed.
#[derive(Clone)]
pub struct FileTensor {
    file: Arc<File>,
    dtype: DataType,
    range: Range<usize>,
    /// The first dimension and the product of the others.
    matrix: [usize; 2],
}

impl FileTensor {
    /// The bytes `range` of a file, as a tensor of this shape.
    pub(super) fn new(
        file: Arc<File>,
        dtype: DataType,
        range: Range<usize>,
        shape: &[usize],
    ) -> Self {
        let (&rows, rest) = shape.split_first().unwrap_or((&1, &[]));
        // The sizes of a tensor without elements may be too large to multiply.
        let columns = rest.iter().fold(1, |all: usize, &size| all.saturating_mul(size));
        FileTensor { file, dtype, range, matrix: [rows, columns] }
    }

    /// The elements from `start` on; what does not exist is left as it is.
    fn read(&self, start: usize, out: &mut [f32]) {
        let (file, range) = (&self.file, self.range.clone());
        if let Some(numbers) = Numbers::in_file(self.dtype, file, range, None) {
            let len = out.len().min(numbers.len().saturating_sub(start));
            numbers.read(start, &mut out[..len]);
        }
    }
}

impl std::fmt::Debug for FileTensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} in {}", self.matrix, self.file.name())
    }
}
