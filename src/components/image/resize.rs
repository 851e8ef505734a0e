//! Resizing of pictures by a bicubic filter as Pillow does it: two passes over bytes with weights of
//! 22 fractional bits, so that the result is Pillow's to the bit.

use std::ops::Range;

/// The filter's parameter a (Keys 1981, "Cubic convolution interpolation for digital image
/// processing", equation 15), as in Pillow.
const A: f64 = -0.5;

/// The filter's reach in pixels of the source, or of the result where that is smaller.
const REACH: f64 = 2.0;

/// Fractional bits of a weight.
const BITS: u32 = 22;

/// Channels of a pixel.
const CHANNELS: usize = 3;

/// Resizes an RGB picture `[height, width, 3]` to `[to_height, to_width, 3]`, sides at least 1.
pub(super) fn resize(
    rgb: &[u8],
    [height, width]: [usize; 2],
    [to_height, to_width]: [usize; 2],
) -> Vec<u8> {
    let columns = taps(width, to_width);
    let mut wide = Vec::with_capacity(height * to_width * CHANNELS);
    for row in rgb.chunks_exact(width * CHANNELS) {
        for (sources, weights) in &columns {
            for channel in 0..CHANNELS {
                let values = sources.clone().map(|column| row[column * CHANNELS + channel]);
                wide.push(weighted(values, weights));
            }
        }
    }
    let row_len = to_width * CHANNELS;
    let mut out = Vec::with_capacity(to_height * row_len);
    for (sources, weights) in &taps(height, to_height) {
        for column in 0..row_len {
            let values = sources.clone().map(|row| wide[row * row_len + column]);
            out.push(weighted(values, weights));
        }
    }
    out
}

/// A weighted sum, rounded to a byte.
fn weighted(values: impl Iterator<Item = u8>, weights: &[i32]) -> u8 {
    let products = values.zip(weights).map(|(value, weight)| i64::from(value) * i64::from(*weight));
    let sum = products.sum::<i64>() + (1 << (BITS - 1));
    (sum >> BITS).clamp(0, 255) as u8
}

/// The sources of each pixel of the result along one axis, and their weights.
fn taps(from: usize, to: usize) -> Vec<(Range<usize>, Vec<i32>)> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0); // a smaller result is filtered over the pixels that it replaces
    let reach = REACH * stretch;
    let each = |index: usize| {
        let center = (index as f64 + 0.5) * scale;
        let first = ((center - reach + 0.5).max(0.0) as usize).min(from - 1);
        let end = ((center + reach + 0.5) as usize).clamp(first + 1, from);
        let distance = |source: usize| (source as f64 - center + 0.5) / stretch;
        let weights: Vec<f64> = (first..end).map(|source| cubic(distance(source))).collect();
        let sum: f64 = weights.iter().sum();
        let whole = |weight: &f64| (weight / sum * f64::from(1u32 << BITS)).round() as i32;
        (first..end, weights.iter().map(whole).collect())
    };
    (0..to).map(each).collect()
}

/// The filter at a distance from its centre.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    match x {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}
