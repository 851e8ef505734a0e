//! Pictures at another size.

use super::{MAX_SIDE, Picture};
use crate::error::{Error, ErrorKind, Result};
use image::imageops::{FilterType, resize};

impl Picture {
    /// The picture at another size, by Lanczos' filter with three lobes, which is widened where the
    /// picture becomes smaller (as Pillow's `LANCZOS`).
    ///
    /// # Errors
    /// `Argument` if a side is 0 or longer than [`MAX_SIDE`].
    pub fn resized(&self, width: usize, height: usize) -> Result<Picture> {
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            let message =
                format!("a picture of {width}x{height}: expected sides from 1 to {MAX_SIDE}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let bytes = self.rgb.as_slice();
        let image = image::ImageBuffer::<image::Rgb<u8>, _>::from_raw(
            self.width as u32,
            self.height as u32,
            bytes,
        );
        let Some(image) = image else { unreachable!("a picture has the bytes of its size") };
        let resized = resize(&image, width as u32, height as u32, FilterType::Lanczos3);
        Picture::new(width, height, resized.into_raw())
    }
}
