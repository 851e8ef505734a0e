//! Pictures as a network reads them: values in [0, 1], padded to whole cells.

use crate::picture::Picture;

/// A picture as `[H, W, 3]` in [0, 1], with rows and columns added at the bottom and on the right until
/// its sides are multiples of `cell`: mirrored at the last one, as spandrel pads. Also its size.
pub(super) fn padded(picture: &Picture, cell: usize) -> (Vec<f32>, [usize; 2]) {
    let (height, width) = (picture.height(), picture.width());
    let size = [height.next_multiple_of(cell), width.next_multiple_of(cell)];
    let mirrored =
        |at: usize, len: usize| if at < len { at } else { (2 * len - 2).saturating_sub(at) };
    let mut values = Vec::with_capacity(3 * size[0] * size[1]);
    for y in 0..size[0] {
        let row = mirrored(y, height) * width;
        for x in 0..size[1] {
            let at = 3 * (row + mirrored(x, width));
            values.extend(picture.rgb()[at..at + 3].iter().map(|byte| f32::from(*byte) / 255.0));
        }
    }
    (values, size)
}

/// The top left part, of `width` and `height` pixels, of an image `[H, W, 3]` in about [0, 1] whose rows
/// have `pitch` pixels, as bytes.
pub(super) fn cropped(image: &[f32], pitch: usize, width: usize, height: usize) -> Vec<u8> {
    let rows = image.chunks_exact(3 * pitch).take(height);
    let values = rows.flat_map(|row| &row[..3 * width]);
    values.map(|value| (value.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_mirrored_at_their_last_pixels() {
        let rgb = (0..3 * 2).flat_map(|value| [value * 10; 3]).collect();
        let picture = Picture::new(3, 2, rgb).unwrap();
        let (values, size) = padded(&picture, 4);
        assert_eq!(size, [4, 4]);
        let bytes: Vec<_> = values.chunks(3).map(|rgb| (rgb[0] * 255.0).round() as u8).collect();
        let rows = [[0, 10, 20, 10], [30, 40, 50, 40], [0, 10, 20, 10], [0, 10, 20, 10]];
        assert_eq!(bytes, rows.concat());
        let back = cropped(&values, 4, 3, 2);
        assert_eq!(back, picture.rgb());
        assert_eq!(padded(&picture, 1).1, [2, 3]);
    }
}
