//! Layouts of weights in GPU memory: the order of the elements and their padding.

use crate::error::{Error, ErrorKind, Result};

/// The layout of a weight in GPU memory. Output channels are innermost, so that a `vec4` holds four
/// neighbours; `4` after a name means that the size is rounded up to a multiple of four with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WeightLayout {
    /// Biases, and scales and shifts of norms: `[C]` → `[C4]`.
    Vector,
    /// Linear layers and 1×1 convolutions: `[O, I]` or `[O, I, 1, 1]` → `[I4, O4]`.
    Matrix,
    /// Convolutions: `[O, I, kh, kw]` → `[kh, kw, I4, O4]`.
    Conv,
    /// Depthwise convolutions: `[C, 1, kh, kw]` → `[kh, kw, C4]`.
    Depthwise,
}

impl WeightLayout {
    /// Every layout.
    pub const ALL: [WeightLayout; 4] =
        [WeightLayout::Vector, WeightLayout::Matrix, WeightLayout::Conv, WeightLayout::Depthwise];

    /// The shapes in the file that the layout applies to.
    fn file_shape(self) -> &'static str {
        match self {
            WeightLayout::Vector => "[C]",
            WeightLayout::Matrix => "[O, I] or [O, I, 1, 1]",
            WeightLayout::Conv => "[O, I, kh, kw]",
            WeightLayout::Depthwise => "[C, 1, kh, kw]",
        }
    }
}

/// The number of elements of a weight of `file_shape` in a layout, padding included.
///
/// # Errors
/// `Weights` if the layout does not apply to the shape, or a dimension is 0 or too large.
pub fn packed_len(file_shape: &[usize], layout: WeightLayout) -> Result<usize> {
    Ok(Axes::new(file_shape, layout)?.len)
}

/// The sizes of the transposition from `file[o][i][k]` to `packed[k][i][o]`, where k numbers the
/// pixels of a convolution's window ("taps").
pub(super) struct Axes {
    pub outputs: usize,
    pub inputs: usize,
    pub taps: usize,
    /// Rows of one tap, padding included: `inputs` rounded up, or 1 where there is no such axis.
    pub rows: usize,
    /// Elements of a row, padding included.
    pub row_len: usize,
    /// All elements, padding included.
    pub len: usize,
}

impl Axes {
    pub fn new(file_shape: &[usize], layout: WeightLayout) -> Result<Self> {
        let (outputs, inputs, [kh, kw]) = match (layout, file_shape) {
            (WeightLayout::Vector, &[c]) => (c, 1, [1, 1]),
            (WeightLayout::Matrix, &[o, i] | &[o, i, 1, 1]) => (o, i, [1, 1]),
            (WeightLayout::Conv, &[o, i, kh, kw]) => (o, i, [kh, kw]),
            (WeightLayout::Depthwise, &[c, 1, kh, kw]) => (c, 1, [kh, kw]),
            _ => return Err(bad_shape(file_shape, layout)),
        };
        let padded = |len: usize| len.checked_next_multiple_of(4).filter(|_| len > 0);
        let row_len = padded(outputs);
        let rows = match layout {
            WeightLayout::Vector | WeightLayout::Depthwise => Some(1),
            WeightLayout::Matrix | WeightLayout::Conv => padded(inputs),
        };
        let taps = kh.checked_mul(kw).filter(|&taps| taps > 0);
        let (Some(row_len), Some(rows), Some(taps)) = (row_len, rows, taps) else {
            return Err(bad_shape(file_shape, layout));
        };
        // The bits of all elements must be countable as well.
        let len = taps.checked_mul(rows).and_then(|all| all.checked_mul(row_len));
        let Some(len) = len.filter(|len| len.checked_mul(32).is_some()) else {
            return Err(bad_shape(file_shape, layout));
        };
        Ok(Axes { outputs, inputs, taps, rows, row_len, len })
    }
}

fn bad_shape(file_shape: &[usize], layout: WeightLayout) -> Error {
    let expected = layout.file_shape();
    Error::new(
        ErrorKind::Weights,
        format!("expected a weight of shape {expected} for {layout:?}, got {file_shape:?}"),
    )
}
