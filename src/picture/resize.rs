//! Pictures of other sizes.

use super::{MAX_SIDE, Picture, reserved, zeros};
use crate::error::{Error, ErrorKind, Result};
use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Rgb};

/// A filter by which pixels of another size are computed; both are widened where a picture
/// shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Lanczos with three lobes: sharp, for pictures.
    Lanczos,
    /// Bilinear: never darker or lighter than the pixels around, for masks.
    Bilinear,
}

impl Picture {
    /// The part in the middle, `width` by `height` pixels.
    ///
    /// # Errors
    /// `Argument` if it is empty or larger than the picture.
    pub fn cropped(&self, width: usize, height: usize) -> Result<Picture> {
        if width > self.width || height > self.height {
            return Err(self.impossible(width, height));
        }
        let (left, top) = ((self.width - width) / 2, (self.height - height) / 2);
        let mut rgb = zeros(3 * (width * height) as u64)?;
        let rows = self.rgb.chunks_exact(3 * self.width).skip(top);
        for (to, from) in rgb.chunks_exact_mut((3 * width).max(1)).zip(rows) {
            to.copy_from_slice(&from[3 * left..3 * (left + width)]);
        }
        Picture::new(width, height, rgb)
    }

    /// The picture at another size, by Lanczos' filter with three lobes, which is widened where the
    /// picture becomes smaller (as Pillow's `LANCZOS`).
    ///
    /// # Errors
    /// As [`scaled`](Picture::scaled).
    pub fn resized(&self, width: usize, height: usize) -> Result<Picture> {
        self.scaled(width, height, Filter::Lanczos)
    }

    /// The picture scaled to a size, whatever its proportions.
    ///
    /// # Errors
    /// `Argument` if a side is 0 or longer than [`MAX_SIDE`]; `Unsupported` if the machine lacks
    /// the memory.
    pub fn scaled(&self, width: usize, height: usize, filter: Filter) -> Result<Picture> {
        let sides = 1..=MAX_SIDE;
        if [width, height, self.width, self.height].iter().any(|side| !sides.contains(side)) {
            return Err(self.impossible(width, height));
        }
        if (width, height) == (self.width, self.height) {
            return Ok(self.clone());
        }
        // What the resampling allocates by itself: one picture of four floats a pixel.
        drop(reserved(16 * (self.width * height) as u64)?);
        let [w, h] = [self.width, self.height].map(|side| side as u32);
        let source = ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(w, h, &self.rgb);
        let source = source.ok_or_else(|| self.impossible(width, height))?;
        let filter = match filter {
            Filter::Lanczos => FilterType::Lanczos3,
            Filter::Bilinear => FilterType::Triangle,
        };
        let scaled = resize(&source, width as u32, height as u32, filter);
        Picture::new(width, height, scaled.into_raw())
    }

    /// The picture scaled to fill a size in its own proportions; the rest at two sides is
    /// cut off before.
    ///
    /// # Errors
    /// As [`scaled`](Picture::scaled).
    pub fn covering(&self, width: usize, height: usize, filter: Filter) -> Result<Picture> {
        let sides = 1..=MAX_SIDE;
        if !(sides.contains(&width) && sides.contains(&height)) {
            return Err(self.impossible(width, height));
        }
        let kept = |side: usize, other: usize, [to, of]: [usize; 2]| {
            ((other * to + of / 2) / of).clamp(1, side)
        };
        let part = match self.width * height > self.height * width {
            true => self.cropped(kept(self.width, self.height, [width, height]), self.height)?,
            false => self.cropped(self.width, kept(self.height, self.width, [height, width]))?,
        };
        part.scaled(width, height, filter)
    }

    fn impossible(&self, width: usize, height: usize) -> Error {
        let message = format!(
            "a picture of {}x{} pixels cannot become one of {width}x{height}",
            self.width, self.height
        );
        Error::new(ErrorKind::Argument, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red grows to the right, green downwards.
    fn gradients(width: usize, height: usize) -> Picture {
        let pixel = |i: usize| {
            let (x, y) = (i % width, i / width);
            [(x * 255 / (width - 1)) as u8, (y * 255 / (height - 1)) as u8, 50]
        };
        let rgb = (0..width * height).flat_map(pixel).collect();
        Picture::new(width, height, rgb).expect("a picture")
    }

    fn pixel(picture: &Picture, x: usize, y: usize) -> [i32; 3] {
        let at = 3 * (y * picture.width() + x);
        [0, 1, 2].map(|channel| i32::from(picture.rgb()[at + channel]))
    }

    #[test]
    fn the_middle_is_cut_out_to_the_byte() -> Result<()> {
        let whole = gradients(11, 8);
        let part = whole.cropped(8, 4)?;
        for (x, y) in [(0, 0), (7, 3), (3, 2)] {
            assert_eq!(pixel(&part, x, y), pixel(&whole, x + 1, y + 2));
        }
        Ok(())
    }

    #[test]
    fn a_covering_picture_keeps_proportions_and_middle() -> Result<()> {
        let wide = gradients(120, 60).covering(32, 32, Filter::Lanczos)?;
        // Of 120 columns the middle 60 are left: red from a quarter to three quarters.
        for (x, red) in [(0, 65), (31, 190)] {
            let got = pixel(&wide, x, 16)[0];
            assert!((got - red).abs() < 4, "column {x}: {got}");
        }
        let (top, bottom) = (pixel(&wide, 16, 0)[1], pixel(&wide, 16, 31)[1]);
        assert!(top < 6 && bottom > 249, "{top} {bottom}");
        let thin = gradients(16_384, 2).covering(64, 64, Filter::Lanczos)?;
        assert_eq!((thin.width(), thin.height()), (64, 64));
        Ok(())
    }

    #[test]
    fn bilinear_stays_within_and_lanczos_does_not() -> Result<()> {
        let edge: Vec<u8> =
            (0..64 * 64).flat_map(|i| [if i % 64 < 32 { 60 } else { 200 }; 3]).collect();
        let edge = Picture::new(64, 64, edge)?;
        let range = |filter| -> Result<(u8, u8)> {
            let scaled = edge.scaled(40, 40, filter)?;
            let values = scaled.rgb();
            Ok((*values.iter().min().unwrap_or(&0), *values.iter().max().unwrap_or(&0)))
        };
        assert_eq!(range(Filter::Bilinear)?, (60, 200));
        let (low, high) = range(Filter::Lanczos)?;
        assert!(low < 60 && high > 200);
        Ok(())
    }

    #[test]
    fn impossible_sizes_are_errors() {
        let picture = gradients(9, 9);
        for (width, height) in [(0, 4), (4, 0), (usize::MAX, 4), (4, MAX_SIDE + 1)] {
            for filter in [Filter::Lanczos, Filter::Bilinear] {
                assert!(picture.scaled(width, height, filter).is_err());
                assert!(picture.covering(width, height, filter).is_err());
            }
        }
        assert!(picture.cropped(10, 1).is_err());
        assert!(picture.cropped(0, 1).is_err());
    }
}
