//! The preprocessing of pictures for CLIP's image encoder (transformers' `CLIPImageProcessor`).

use super::resize::resize;
use crate::picture::Picture;

/// Mean and standard deviation of each channel, by which CLIP was trained.
const MEAN: [f32; 3] = [0.48145466, 0.4578275, 0.40821073];
const DEVIATION: [f32; 3] = [0.26862954, 0.261_302_6, 0.275_777_1];

/// The pixels of a picture as an encoder of `side` × `side` pixels reads them, `[side, side, 3]`: the
/// shorter side resized to `side` (bicubic), the middle cut out, values normalised.
pub fn normalised(picture: &Picture, side: usize) -> Vec<f32> {
    let (width, height) = (picture.width(), picture.height());
    let short = width.min(height);
    // In integers, as in transformers.
    let scaled = |length: usize| (side * length / short).max(1);
    let (wide, high) = (scaled(width), scaled(height));
    let resized = resize(picture.rgb(), [height, width], [high, wide]);
    let (top, left) = ((high - side) / 2, (wide - side) / 2);
    let rows = resized.chunks_exact(wide * 3).skip(top).take(side);
    let bytes = rows.flat_map(|row| &row[left * 3..][..side * 3]);
    bytes
        .enumerate()
        .map(|(at, byte)| (f32::from(*byte) / 255.0 - MEAN[at % 3]) / DEVIATION[at % 3])
        .collect()
}
