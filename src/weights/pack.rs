//! Conversion of weights from PyTorch's layout to a [`WeightLayout`] and a [`WeightFormat`].
//!
//! With taps `k` (the pixels of a convolution's window), input channels `i` and outputs `o`, every
//! layout is one transposition: `packed[k][i][o] = file[o][i][k]`.

use bytemuck::Pod;
use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

use super::format::WeightFormat;
use super::layout::{Axes, WeightLayout};
use super::part::Part;
use super::values::Values;
use crate::error::{Error, ErrorKind, Result};

/// Converts one weight to its layout and format in GPU memory, little-endian. `path` names the
/// weight in messages.
///
/// # Errors
/// `Weights`, naming path, index and value, if the layout does not apply to the shape, there are
/// more or fewer values than it says, one of them is not finite, or does not fit in 16 bits.
pub fn pack(
    path: &str,
    values: Values<'_>,
    file_shape: &[usize],
    layout: WeightLayout,
    format: WeightFormat,
) -> Result<Vec<u8>> {
    let axes = checked(path, &values, file_shape, layout)?;
    let mut out = vec![0; format.bytes(axes.len)];
    let whole = Part::whole(&axes, format);
    let starts: Vec<_> = whole.ranges().map(|range| range.start).collect();
    let put = |tap: usize, at: usize, run: &[u8]| {
        out[starts[tap] + at..][..run.len()].copy_from_slice(run);
    };
    convert(path, values, file_shape, &axes, format, &whole, put)?;
    Ok(out)
}

/// A part of what [`pack`] makes, into write-only memory: `put` is called with a tap, the position
/// in the part's range of that tap and the bytes of a run. It gets every byte once, padding included.
/// No other memory is used that grows with the weight.
///
/// # Errors
/// As [`pack`], for the values of this part; the bytes put before an error are to be thrown away.
pub fn pack_part(
    path: &str,
    values: Values<'_>,
    file_shape: &[usize],
    layout: WeightLayout,
    format: WeightFormat,
    part: &Part,
    mut put: impl FnMut(usize, usize, &[u8]),
) -> Result<()> {
    let axes = checked(path, &values, file_shape, layout)?;
    put_padding(&axes, format, part, &mut put);
    convert(path, values, file_shape, &axes, format, part, put)
}

/// The sizes of a weight, after a check that there are as many values as its shape says.
fn checked(
    path: &str,
    values: &Values<'_>,
    file_shape: &[usize],
    layout: WeightLayout,
) -> Result<Axes> {
    let axes = Axes::new(file_shape, layout).map_err(|error| error.context(path))?;
    let expected = file_shape.iter().product::<usize>();
    if values.len() != expected {
        return Err(Error::new(
            ErrorKind::Weights,
            format!("{path}: expected {expected} values for {file_shape:?}, got {}", values.len()),
        ));
    }
    Ok(axes)
}

/// Puts the converted values of a part, without the padding.
fn convert(
    path: &str,
    values: Values<'_>,
    file_shape: &[usize],
    axes: &Axes,
    format: WeightFormat,
    part: &Part,
    put: impl FnMut(usize, usize, &[u8]),
) -> Result<()> {
    let packed = match format {
        WeightFormat::F16 | WeightFormat::Packed => {
            let narrow = |wide: &[f32], halves: &mut [u16]| {
                halves.reinterpret_cast_mut::<f16>().convert_from_f32_slice(wide);
            };
            transpose(values, axes, part, f16::MAX.to_f32(), narrow, put)
        }
        WeightFormat::F32 => {
            let narrow = |wide: &[f32], out: &mut [f32]| out.copy_from_slice(wide);
            transpose(values, axes, part, f32::MAX, narrow, put)
        }
    };
    packed.map_err(|(index, value)| bad_value(path, file_shape, index, value))
}

/// Puts zeros where a row is longer than the outputs, and where there are more rows than inputs.
fn put_padding(
    axes: &Axes,
    format: WeightFormat,
    part: &Part,
    put: &mut impl FnMut(usize, usize, &[u8]),
) {
    const ZEROS: [u8; 1024] = [0; 1024];
    let &Axes { outputs, inputs, taps, row_len, .. } = axes;
    let element_bytes = format.bytes(1);
    for tap in 0..taps {
        for (row, input) in part.inputs.clone().enumerate() {
            let first = if input < inputs { outputs } else { 0 };
            let (mut start, end) = (row * row_len + first, (row + 1) * row_len);
            while start < end {
                let len = (end - start).min(ZEROS.len() / element_bytes);
                put(tap, start * element_bytes, &ZEROS[..len * element_bytes]);
                start += len;
            }
        }
    }
}

/// Rows and columns of a tile: 16 KiB of f32 and what they become stay in the first-level cache.
const TILE: usize = 64;

/// Columns that are read at once, whole tiles: long reads from the disk, half a megabyte of a strip
/// of [`TILE`] rows.
const STRIP: usize = 32 * TILE;

/// The transposition `out[k][i][o] = values[o][i][k]` of a part, a tile at a time. `narrow` converts
/// the numbers of a tile; `put` gets runs of `out`: k, the byte of the part where the run begins, and
/// its bytes. The error is the index and value of a number that is not finite or beyond ±`limit`.
fn transpose<T: Pod>(
    values: Values<'_>,
    axes: &Axes,
    part: &Part,
    limit: f32,
    narrow: fn(&[f32], &mut [T]),
    mut put: impl FnMut(usize, usize, &[u8]),
) -> Result<(), (usize, f32)> {
    let &Axes { outputs, inputs, taps, row_len, .. } = axes;
    let columns = inputs * taps;
    let (first, end) = (part.inputs.start * taps, part.inputs.end.min(inputs) * taps);
    let mut wide = [0.0; TILE * TILE];
    let mut tile = [T::zeroed(); TILE * TILE];
    if first >= end {
        return Ok(()); // padding alone
    }
    let strip_width = STRIP.min(end - first);
    let mut strip = vec![0.0; TILE.min(outputs) * strip_width];
    for o in (0..outputs).step_by(TILE) {
        let height = TILE.min(outputs - o);
        for column in (first..end).step_by(TILE) {
            let width = TILE.min(end - column);
            let wide = &mut wide[..height * width];
            let within = (column - first) % STRIP;
            if within == 0 && strip_width == columns {
                values.read(o * columns, &mut strip[..height * columns]);
            } else if within == 0 {
                let read = strip_width.min(end - column);
                for (r, row) in strip.chunks_exact_mut(strip_width).take(height).enumerate() {
                    values.read((o + r) * columns + column, &mut row[..read]);
                }
            }
            let rows = strip.chunks_exact(strip_width);
            for (row, from) in wide.chunks_exact_mut(width).zip(rows) {
                row.copy_from_slice(&from[within..within + width]);
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
                let start = ((i - part.inputs.start) * row_len + o) * size_of::<T>();
                put(k, start, bytemuck::cast_slice(&run[..height]));
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
        format!(
            "expected a finite weight, got {value}: the file is damaged, or was saved with it by the \
             program that made it"
        )
    };
    Error::new(ErrorKind::Weights, format!("{path}{position:?}: {problem}"))
}
