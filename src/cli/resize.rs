//! The size of the result, and how input pictures are scaled to it.

use super::terminal::note;
use croquis::diffusion::{Model, Request};
use croquis::picture::{Filter, Picture};
use croquis::{Error, ErrorKind, Result};

/// How an input picture of another size than the result's is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Resize {
    /// Scale to fill width and height, cut off the rest
    Crop,
    /// Scale to fit into width and height; the result is smaller in one of them
    Fit,
    /// Scale to width and height, whatever the proportions
    Stretch,
    /// Refuse
    None,
}

/// Brings the pictures of a request to one size, and sets it as that of the result.
pub fn resize(
    resize: Resize,
    wanted: [Option<usize>; 2],
    model: &Model,
    request: &mut Request,
) -> Result<()> {
    let image = request.image.as_ref().map(|image| &image.picture);
    let first = image.or(request.controls.first().map(|control| &control.picture));
    let Some(from) = first.map(size) else { return Ok(()) };
    let to = target(resize, from, wanted, model.size_multiple());
    let bring = |picture: &mut Picture, filter| -> Result<()> {
        // Without a wanted size, only the pixels beyond a multiple are lost.
        let cut =
            wanted == [None, None] && size(picture) == from && to[0] <= from[0] && to[1] <= from[1];
        *picture = match resize {
            _ if size(picture) == to => return Ok(()),
            Resize::None => return Err(refusal(size(picture), to)),
            Resize::Stretch => picture.scaled(to[0], to[1], filter)?,
            _ if cut => picture.cropped(to[0], to[1])?,
            _ => picture.covering(to[0], to[1], filter)?,
        };
        Ok(())
    };
    if let Some(image) = &mut request.image {
        bring(&mut image.picture, Filter::Lanczos)?;
        if let Some(mask) = &mut image.mask {
            bring(&mut mask.picture, Filter::Bilinear)?;
        }
    }
    for control in &mut request.controls {
        bring(&mut control.picture, Filter::Lanczos)?;
    }
    if from != to {
        let [[a, b], [c, d]] = [from, to];
        note(format!(
            "the input picture of {a}x{b} pixels is used as one of {c}x{d} (see --resize)"
        ));
    }
    (request.width, request.height) = (Some(to[0]), Some(to[1]));
    Ok(())
}

fn size(picture: &Picture) -> [usize; 2] {
    [picture.width(), picture.height()]
}

fn refusal([width, height]: [usize; 2], [w, h]: [usize; 2]) -> Error {
    let message =
        format!("--resize none: expected a picture of {w}x{h} pixels, got {width}x{height}");
    Error::new(ErrorKind::Argument, message)
}

/// The size of the result for a picture's size and the wanted sides. Sides that are computed are
/// multiples of `multiple`, those that are given stay.
fn target(
    resize: Resize,
    [width, height]: [usize; 2],
    wanted: [Option<usize>; 2],
    multiple: usize,
) -> [usize; 2] {
    let down = |side: usize| (side / multiple).max(1) * multiple;
    // A side in proportion to the other one.
    let other = |side: usize, [from, to]: [usize; 2]| side.saturating_mul(to) / from;
    match wanted {
        [None, None] if resize == Resize::None => [width, height],
        [None, None] => [down(width), down(height)],
        [Some(w), None] => [w, down(other(w, [width, height]).saturating_add(multiple / 2))],
        [None, Some(h)] => [down(other(h, [height, width]).saturating_add(multiple / 2)), h],
        [Some(w), Some(h)] if resize != Resize::Fit => [w, h],
        [Some(w), Some(h)] => match width.saturating_mul(h) <= height.saturating_mul(w) {
            true => [down(other(h, [height, width])), h],
            false => [w, down(other(w, [width, height]))],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_has_the_wanted_sides_and_the_pictures_proportions() {
        let photo = [4000, 3000];
        for (resize, wanted, expected) in [
            (Resize::Crop, [None, None], [4000, 3000]),
            (Resize::Crop, [Some(512), Some(512)], [512, 512]),
            (Resize::Fit, [Some(512), Some(512)], [512, 384]),
            (Resize::Fit, [Some(2000), Some(384)], [512, 384]),
            (Resize::Stretch, [Some(512), Some(768)], [512, 768]),
            (Resize::Crop, [Some(500), None], [500, 376]),
            (Resize::Crop, [None, Some(384)], [512, 384]),
            (Resize::Fit, [Some(usize::MAX), Some(usize::MAX)], [usize::MAX, usize::MAX]),
        ] {
            let got = target(resize, photo, wanted, 8);
            if expected[0] < usize::MAX {
                assert_eq!(got, expected, "{resize:?} {wanted:?}");
            }
        }
        assert_eq!(target(Resize::Crop, [501, 7], [None, None], 8), [496, 8]);
        assert_eq!(target(Resize::None, [501, 7], [None, None], 8), [501, 7]);
    }
}
