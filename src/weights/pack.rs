//! Weights from PyTorch's layout to the one the kernels read: output channels innermost, so that
//! a `vec4` holds four neighbours, and every row of channels padded with zeros to whole vectors.
//!
//! With taps `k` (the pixels of a convolution's window), input channels `i` and outputs `o`, all
//! of it is one transposition: `packed[k][i][o] = file[o][i][k]`.

use bytemuck::Pod;
use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

use super::values::Values;
use crate::error::{Error, ErrorKind, Result};
use crate::shape::{Shape, Storage};

/// How a weight is laid out on the GPU; `4` after a name means rounded up to a multiple of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Packing {
    /// Biases and norms: `[C]` → `[C4]`.
    Vector,
    /// Linear layers and 1×1 convolutions: `[O, I]` or `[O, I, 1, 1]` → `[I4, O4]`.
    Matrix,
    /// Convolutions: `[O, I, kh, kw]` → `[kh, kw, I4, O4]`.
    Conv,
    /// Depthwise convolutions: `[C, 1, kh, kw]` → `[kh, kw, C4]`.
    Depthwise,
}

impl Packing {
    /// What the file must hold.
    fn file_shape(self) -> &'static str {
        match self {
            Packing::Vector => "[C]",
            Packing::Matrix => "[O, I] or [O, I, 1, 1]",
            Packing::Conv => "[O, I, kh, kw]",
            Packing::Depthwise => "[C, 1, kh, kw]",
        }
    }
}

/// The sizes of the transposition.
struct Layout {
    outputs: usize,
    inputs: usize,
    taps: usize,
    /// Rows of one tap, padding included: `inputs` rounded up, or 1 where there is no such axis.
    rows: usize,
    /// Elements of a row, padding included.
    row_len: usize,
    shape: Shape,
    /// All elements, padding included.
    len: usize,
}

impl Layout {
    fn new(file_shape: &[usize], packing: Packing) -> Result<Self> {
        let (outputs, inputs, [kh, kw]) = match (packing, file_shape) {
            (Packing::Vector, &[c]) => (c, 1, [1, 1]),
            (Packing::Matrix, &[o, i] | &[o, i, 1, 1]) => (o, i, [1, 1]),
            (Packing::Conv, &[o, i, kh, kw]) => (o, i, [kh, kw]),
            (Packing::Depthwise, &[c, 1, kh, kw]) => (c, 1, [kh, kw]),
            _ => return Err(bad_shape(file_shape, packing)),
        };
        let padded = |len: usize| len.checked_next_multiple_of(4).filter(|_| len > 0);
        let row_len = padded(outputs);
        let rows = match packing {
            Packing::Vector | Packing::Depthwise => Some(1),
            Packing::Matrix | Packing::Conv => padded(inputs),
        };
        let taps = kh.checked_mul(kw).filter(|&taps| taps > 0);
        let (Some(row_len), Some(rows), Some(taps)) = (row_len, rows, taps) else {
            return Err(bad_shape(file_shape, packing));
        };
        // Four bytes an element must be countable as well.
        let len = taps.checked_mul(rows).and_then(|all| all.checked_mul(row_len));
        let Some(len) = len.filter(|len| len.checked_mul(4).is_some()) else {
            return Err(bad_shape(file_shape, packing));
        };
        let shape = match packing {
            Packing::Vector => Shape::from([outputs]),
            Packing::Matrix => Shape::from([rows, outputs]),
            Packing::Conv => Shape::from([kh, kw, rows, outputs]),
            Packing::Depthwise => Shape::from([kh, kw, outputs]),
        };
        Ok(Layout { outputs, inputs, taps, rows, row_len, shape, len })
    }
}

fn bad_shape(file_shape: &[usize], packing: Packing) -> Error {
    let expected = packing.file_shape();
    Error::new(
        ErrorKind::Weights,
        format!("expected a weight of shape {expected} for {packing:?}, got {file_shape:?}"),
    )
}

/// The shape on the GPU of a weight of `file_shape`. Input channels are rounded up to a multiple
/// of four; the innermost axis is not, since every tensor's is padded in memory.
///
/// # Errors
/// `Weights` if the packing does not apply to the shape, or a dimension is 0 or too large.
pub fn packed_shape(file_shape: &[usize], packing: Packing) -> Result<Shape> {
    Ok(Layout::new(file_shape, packing)?.shape)
}

/// How many elements [`pack`] makes of a weight of `file_shape`, padding included; times
/// [`Storage::element_bytes`] for bytes.
///
/// # Errors
/// As [`packed_shape`].
pub fn packed_len(file_shape: &[usize], packing: Packing) -> Result<usize> {
    Ok(Layout::new(file_shape, packing)?.len)
}

/// Converts one weight to its layout and storage on the GPU: little-endian f32, or IEEE halves,
/// two in 32 bits, the first in the lower half ([`Storage::F16`] and [`Storage::Packed`] alike).
/// `path` names the weight in messages.
///
/// # Errors
/// `Weights`, naming path, index and value, if the packing does not apply to the shape, there are
/// more or fewer values than it says, one of them is not finite, or does not fit in 16 bits.
pub fn pack(
    path: &str,
    values: Values<'_>,
    file_shape: &[usize],
    packing: Packing,
    storage: Storage,
) -> Result<Vec<u8>> {
    let layout = checked(path, values, file_shape, packing)?;
    let mut out = vec![0; layout.len * storage.element_bytes()];
    let put = |start: usize, run: &[u8]| out[start..][..run.len()].copy_from_slice(run);
    convert(path, values, file_shape, &layout, storage, put)?;
    Ok(out)
}

/// [`pack`] into memory that may only be written: `put` gets every byte once, padding included, in
/// runs and where each begins. Beside them it takes no memory that grows with the weight.
///
/// # Errors
/// As [`pack`]; what was put until then is of no use.
pub fn pack_into(
    path: &str,
    values: Values<'_>,
    file_shape: &[usize],
    packing: Packing,
    storage: Storage,
    mut put: impl FnMut(usize, &[u8]),
) -> Result<()> {
    let layout = checked(path, values, file_shape, packing)?;
    put_padding(&layout, storage.element_bytes(), &mut put);
    convert(path, values, file_shape, &layout, storage, put)
}

/// The sizes of a weight whose values are as many as its shape says.
fn checked(
    path: &str,
    values: Values<'_>,
    file_shape: &[usize],
    packing: Packing,
) -> Result<Layout> {
    let layout = Layout::new(file_shape, packing).map_err(|error| error.context(path))?;
    let expected = file_shape.iter().product::<usize>();
    if values.len() != expected {
        return Err(Error::new(
            ErrorKind::Weights,
            format!("{path}: expected {expected} values for {file_shape:?}, got {}", values.len()),
        ));
    }
    Ok(layout)
}

/// Puts all but the padding.
fn convert(
    path: &str,
    values: Values<'_>,
    file_shape: &[usize],
    layout: &Layout,
    storage: Storage,
    put: impl FnMut(usize, &[u8]),
) -> Result<()> {
    let packed = match storage {
        Storage::F16 | Storage::Packed => {
            let narrow = |wide: &[f32], halves: &mut [u16]| {
                halves.reinterpret_cast_mut::<f16>().convert_from_f32_slice(wide);
            };
            transpose(values, layout, f16::MAX.to_f32(), narrow, put)
        }
        Storage::F32 => {
            let narrow = |wide: &[f32], out: &mut [f32]| out.copy_from_slice(wide);
            transpose(values, layout, f32::MAX, narrow, put)
        }
    };
    packed.map_err(|(index, value)| bad_value(path, file_shape, index, value))
}

/// Puts zeros where a row is longer than the outputs, and where there are more rows than inputs.
fn put_padding(layout: &Layout, element_bytes: usize, put: &mut impl FnMut(usize, &[u8])) {
    const ZEROS: [u8; 1024] = [0; 1024];
    let &Layout { outputs, inputs, taps, rows, row_len, .. } = layout;
    for row in 0..taps * rows {
        let first = if row % rows < inputs { outputs } else { 0 };
        let (mut start, end) = (row * row_len + first, (row + 1) * row_len);
        while start < end {
            let len = (end - start).min(ZEROS.len() / element_bytes);
            put(start * element_bytes, &ZEROS[..len * element_bytes]);
            start += len;
        }
    }
}

/// Rows and columns of a tile: 16 KiB of f32 and what they become stay in the first-level cache.
const TILE: usize = 64;

/// `out[k][i][o] = values[o][i][k]`, a tile at a time; `narrow` converts the numbers of a tile, and
/// `put` takes runs of `out` with the byte where each begins. The error is the index and value of a
/// number that is not finite or beyond ±`limit`.
fn transpose<T: Pod>(
    values: Values<'_>,
    layout: &Layout,
    limit: f32,
    narrow: fn(&[f32], &mut [T]),
    mut put: impl FnMut(usize, &[u8]),
) -> Result<(), (usize, f32)> {
    let &Layout { outputs, inputs, taps, rows, row_len, .. } = layout;
    let columns = inputs * taps;
    let mut wide = [0.0; TILE * TILE];
    let mut tile = [T::zeroed(); TILE * TILE];
    for o in (0..outputs).step_by(TILE) {
        let height = TILE.min(outputs - o);
        for column in (0..columns).step_by(TILE) {
            let width = TILE.min(columns - column);
            let wide = &mut wide[..height * width];
            if width == columns {
                values.read(o * columns, wide);
            } else {
                for (r, row) in wide.chunks_exact_mut(width).enumerate() {
                    values.read((o + r) * columns + column, row);
                }
            }
            if let Some(at) = first_beyond(wide, limit) {
                let index = (o + at / width) * columns + column + at % width;
                return Err((index, wide[at]));
            }
            let tile = &mut tile[..height * width];
            narrow(wide, tile);

            for c in 0..width {
                let mut run = [T::zeroed(); TILE];
                for (to, from) in run.iter_mut().zip(tile[c..].iter().step_by(width)) {
                    *to = *from;
                }
                let (i, k) = ((column + c) / taps, (column + c) % taps);
                let start = ((k * rows + i) * row_len + o) * size_of::<T>();
                put(start, bytemuck::cast_slice(&run[..height]));
            }
        }
    }
    Ok(())
}

/// The first number that is NaN, infinite or beyond ±`limit`.
fn first_beyond(values: &[f32], limit: f32) -> Option<usize> {
    // Without the sign, the bits of floats are in the order of the floats, NaN last.
    let magnitude = |value: &f32| value.to_bits() & 0x7fff_ffff;
    let largest = values.iter().fold(0, |largest, value| magnitude(value).max(largest));
    if largest <= limit.to_bits() {
        return None;
    }
    values.iter().position(|value| magnitude(value) > limit.to_bits())
}

fn bad_value(path: &str, file_shape: &[usize], index: usize, value: f32) -> Error {
    let mut rest = index;
    let mut position = file_shape.to_vec();
    for dim in position.iter_mut().rev() {
        (rest, *dim) = (rest / *dim, rest % *dim);
    }
    let problem = if value.is_finite() {
        format!("expected at most 65504 for 16-bit storage, got {value}: use `--storage f32`")
    } else {
        format!("expected a finite weight, got {value}: the file is damaged, download it again")
    };
    Error::new(ErrorKind::Weights, format!("{path}{position:?}: {problem}"))
}
