//! The EXIF orientation: cameras store how a picture has to be turned.

use super::{Picture, zeros};
use crate::error::Result;
use image::metadata::Orientation;

/// A picture turned upright.
pub(super) fn turned(picture: Picture, turn: Orientation) -> Result<Picture> {
    if turn == Orientation::NoTransforms {
        return Ok(picture);
    }
    let (width, height) = (picture.width, picture.height);
    let on_its_side = matches!(
        turn,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let (new_width, new_height) = if on_its_side { (height, width) } else { (width, height) };
    let (right, bottom) = (width - 1, height - 1);
    // Where the pixel at x, y of the result comes from.
    let source = |x: usize, y: usize| match turn {
        Orientation::NoTransforms => (x, y),
        Orientation::FlipHorizontal => (right - x, y),
        Orientation::Rotate180 => (right - x, bottom - y),
        Orientation::FlipVertical => (x, bottom - y),
        Orientation::Rotate90FlipH => (y, x),
        Orientation::Rotate90 => (y, bottom - x),
        Orientation::Rotate270FlipH => (right - y, bottom - x),
        Orientation::Rotate270 => (right - y, x),
    };
    let mut rgb = zeros(picture.rgb.len() as u64)?;
    for (index, out) in rgb.chunks_exact_mut(3).enumerate() {
        let (x, y) = source(index % new_width, index / new_width);
        let at = 3 * (y * width + x);
        out.copy_from_slice(&picture.rgb[at..at + 3]);
    }
    Picture::new(new_width, new_height, rgb)
}
