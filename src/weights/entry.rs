//! The location of a tensor in its file, and views of it.

use std::ops::Range;

use super::dtype::DataType;
use super::patch::Patch;
use crate::error::{Error, ErrorKind, Result};

/// The location, type and shape of a tensor.
#[derive(Clone)]
pub(super) struct Entry {
    /// Index in `Weights::files`.
    pub file: usize,
    pub dtype: DataType,
    pub shape: Vec<usize>,
    /// Bytes in the file, checked against its length.
    pub range: Range<usize>,
    /// Whether the file has the transpose of the matrix.
    pub transposed: bool,
    pub patches: Vec<Patch>,
}

/// The part of a file's tensor that a renamed tensor shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// All of it.
    Whole,
    /// Some of its rows, which are the steps of its first dimension.
    Rows(Range<usize>),
    /// The transpose of a matrix.
    Transposed,
}

impl Entry {
    pub(super) fn view(&self, view: &View) -> Result<Entry> {
        let mut entry = self.clone();
        let misfit = |expected: String| {
            let got = &self.shape;
            Error::new(ErrorKind::Weights, format!("expected {expected}, got a shape of {got:?}"))
        };
        if *view != View::Whole && !self.patches.is_empty() {
            return Err(misfit("a view of a tensor without patches".into()));
        }
        match view {
            View::Whole => {}
            View::Rows(rows) => {
                let Some((&count, row)) = self.shape.split_first() else {
                    return Err(misfit("rows".into()));
                };
                if rows.start > rows.end || rows.end > count {
                    return Err(misfit(format!("rows {rows:?}")));
                }
                if self.transposed {
                    return Err(misfit("rows of a tensor that is not transposed".into()));
                }
                // The sizes of a tensor without elements may be too large to multiply.
                let row = row.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim));
                let row_bytes = row.and_then(|row| self.dtype.bytes_of(row));
                let Some(row_bytes) = row_bytes.or((count == 0).then_some(0)) else {
                    let (dtype, block) = (self.dtype, self.dtype.block().len);
                    return Err(misfit(format!("{dtype} rows of a multiple of {block} values")));
                };
                entry.shape[0] = rows.len();
                let start = self.range.start + rows.start * row_bytes;
                entry.range = start..start + rows.len() * row_bytes;
            }
            View::Transposed => {
                if self.shape.len() != 2 {
                    return Err(misfit("a matrix".into()));
                }
                entry.shape.reverse();
                entry.transposed = !self.transposed;
            }
        }
        Ok(entry)
    }

    /// Rows and columns of the matrix in the file, if this is its transpose.
    pub(super) fn file_matrix(&self) -> Option<[usize; 2]> {
        match (self.transposed, &*self.shape) {
            (true, &[columns, rows]) => Some([rows, columns]),
            _ => None,
        }
    }
}
