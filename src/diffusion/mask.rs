//! Inpainting masks: the part of a picture that is painted anew.

use crate::error::{Error, ErrorKind, Result};
use crate::picture::Picture;

/// An inpainting mask: white pixels are painted anew, black ones stay.
#[derive(Clone, Debug)]
pub struct Mask {
    /// The mask, as large as the picture it belongs to; only its brightness counts.
    pub picture: Picture,
    /// The standard deviation, in pixels, of the Gaussian that softens the mask's border. With 0
    /// every pixel outside the mask stays what it was; else every pixel farther than three times
    /// this from it.
    pub blur: f32,
}

impl Mask {
    /// A mask with a sharp border.
    pub fn new(picture: Picture) -> Self {
        Mask { picture, blur: 0.0 }
    }

    /// Checks the mask against the picture it belongs to.
    ///
    /// # Errors
    /// `Argument` if the sizes differ or the blur is not a number from 0 to 256.
    pub(super) fn check(&self, picture: &Picture) -> Result<()> {
        let size = |picture: &Picture| (picture.width(), picture.height());
        let ((width, height), got) = (size(picture), size(&self.picture));
        let message = if got != (width, height) {
            format!("mask: expected the picture's {width}x{height} pixels, got {}x{}", got.0, got.1)
        } else if !(0.0..=256.0).contains(&self.blur) {
            format!("mask blur: expected a number of pixels from 0 to 256, got {}", self.blur)
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Argument, message))
    }

    /// The coverage of each pixel, from 0 (stays) to 255 (painted anew), `[H, W]`.
    pub(super) fn coverage(&self) -> Vec<u8> {
        let (width, height) = (self.picture.width(), self.picture.height());
        let luma: Vec<f32> = self.picture.rgb().chunks_exact(3).map(luma).collect();
        if self.blur == 0.0 {
            return luma.iter().map(|value| value.round() as u8).collect();
        }
        let kernel = gaussian(self.blur);
        let rows = blurred(&luma, width, height, &kernel, [1, width]);
        let both = blurred(&rows, height, width, &kernel, [width, 1]);
        both.iter().map(|value| value.round() as u8).collect()
    }
}

/// Thresholds a coverage at one half: 1 where it is covered, else 0.
pub(super) fn binary(coverage: &[u8]) -> Vec<f32> {
    coverage.iter().map(|&value| f32::from(u8::from(value > 127))).collect()
}

/// The mask's value at the top left pixel of every latent, `[h, w]`.
pub(super) fn at_latents(mask: &[f32], width: usize, side: usize) -> Vec<f32> {
    let rows = mask.chunks_exact(width).step_by(side);
    rows.flat_map(|row| row.iter().step_by(side).copied()).collect()
}

/// The new picture where the mask covers, the old one elsewhere. Where the coverage is 0 or 255 the
/// pixel values are exactly those of one of the two.
pub(super) fn composed(new: &Picture, old: &Picture, coverage: &[u8]) -> Result<Picture> {
    let pixels = new.rgb().chunks_exact(3).zip(old.rgb().chunks_exact(3)).zip(coverage);
    let mixed = pixels.flat_map(|((new, old), &alpha)| {
        let mix = move |(new, old): (&u8, &u8)| {
            let (new, old, alpha) = (u32::from(*new), u32::from(*old), u32::from(alpha));
            ((new * alpha + old * (255 - alpha) + 127) / 255) as u8
        };
        new.iter().zip(old).map(mix)
    });
    Picture::new(new.width(), new.height(), mixed.collect())
}

/// Brightness by ITU-R BT.601, from 0 to 255.
fn luma(rgb: &[u8]) -> f32 {
    rgb.iter().zip([0.299, 0.587, 0.114]).map(|(value, weight)| f32::from(*value) * weight).sum()
}

/// The weights of a Gaussian up to three standard deviations, from the centre outwards.
fn gaussian(deviation: f32) -> Vec<f32> {
    let reach = (3.0 * deviation) as usize;
    let weight = |x: usize| (-0.5 * (x as f32 / deviation).powi(2)).exp();
    let weights: Vec<f32> = (0..=reach).map(weight).collect();
    let sum = weights[0] + 2.0 * weights[1..].iter().sum::<f32>();
    weights.iter().map(|weight| weight / sum).collect()
}

/// Convolved along an axis of `length` values, of which there are `lines`; the ends are repeated.
/// `strides` are those of the axis and of the lines.
fn blurred(
    values: &[f32],
    length: usize,
    lines: usize,
    kernel: &[f32],
    [stride, line_stride]: [usize; 2],
) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for line in 0..lines {
        let at = |position: usize| values[line * line_stride + position * stride];
        for position in 0..length {
            let sides = kernel.iter().enumerate().skip(1).map(|(offset, weight)| {
                let after = at((position + offset).min(length - 1));
                weight * (at(position.saturating_sub(offset)) + after)
            });
            out[line * line_stride + position * stride] =
                kernel[0] * at(position) + sides.sum::<f32>();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square() -> Picture {
        let white = |x: usize, y: usize| (8..16).contains(&x) && (8..16).contains(&y);
        let bytes = (0..24 * 32).flat_map(|i| [if white(i % 32, i / 32) { 255 } else { 0 }; 3]);
        Picture::new(32, 24, bytes.collect()).expect("a picture")
    }

    #[test]
    fn what_is_far_from_a_soft_mask_stays() {
        let soft = Mask { picture: square(), blur: 1.0 }.coverage();
        let sharp = Mask::new(square()).coverage();
        for (i, (soft, sharp)) in soft.iter().zip(&sharp).enumerate() {
            let (x, y) = (i % 32, i / 32);
            let near = (5..19).contains(&x) && (5..19).contains(&y);
            assert!(near || *soft == 0, "{x},{y}: {soft}");
            assert!(*sharp == 0 || *sharp == 255);
        }
        let across = [7, 8].map(|x| u16::from(soft[12 * 32 + x]));
        assert_eq!(across.iter().sum::<u16>(), 255, "half at the border: {across:?}");
    }

    #[test]
    fn composition_is_exact_where_the_mask_is_sharp() {
        let [old, new] = [10, 200]
            .map(|value| Picture::new(32, 24, vec![value; 32 * 24 * 3]).expect("a picture"));
        let mixed = composed(&new, &old, &Mask::new(square()).coverage()).expect("a picture");
        for (i, value) in mixed.rgb().iter().enumerate() {
            let (x, y) = (i / 3 % 32, i / 3 / 32);
            let inside = (8..16).contains(&x) && (8..16).contains(&y);
            assert_eq!(*value, if inside { 200 } else { 10 });
        }
    }

    #[test]
    fn latents_take_the_top_left_pixel() {
        let mask = binary(&Mask::new(square()).coverage());
        assert_eq!(at_latents(&mask, 32, 8), [0., 0., 0., 0., 0., 1., 0., 0., 0., 0., 0., 0.]);
    }
}
