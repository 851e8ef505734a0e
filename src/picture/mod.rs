//! [`Picture`]: an 8-bit RGB image in memory, read from PNG, JPEG and WebP and written to them, with
//! the settings that it was generated with.

mod colours;
mod decode;
mod encode;
mod exif;
#[cfg(not(target_arch = "wasm32"))]
mod file;
mod orientation;
mod resize;
#[cfg(not(target_arch = "wasm32"))]
mod save;
mod settings;
mod webp;

pub use decode::{Decoded, MAX_SIDE};
pub use encode::Format;
pub use resize::Filter;
#[cfg(not(target_arch = "wasm32"))]
pub use save::check_path;
pub use settings::settings_text;

use crate::error::{Error, ErrorKind, Result};

/// An RGB picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// Creates a picture from rows from top to bottom, three bytes (RGB) a pixel.
    ///
    /// # Errors
    /// `Argument` if the number of bytes is not `3·width·height`, or a side is 0.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Result<Picture> {
        let bytes = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3));
        if bytes.filter(|bytes| *bytes > 0) == Some(rgb.len()) {
            return Ok(Picture { width, height, rgb });
        }
        let expected = bytes.map_or("fewer pixels".into(), |bytes| format!("{bytes} bytes"));
        let message =
            format!("a picture of {width}x{height}: expected {expected}, got {} bytes", rgb.len());
        Err(Error::new(ErrorKind::Argument, message))
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Rows from top to bottom, three bytes a pixel.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixels as values in [-1, 1], `[H, W, 3]`: the input of an autoencoder's encoder.
    pub(crate) fn to_unit_range(&self) -> Vec<f32> {
        self.rgb.iter().map(|byte| f32::from(*byte) / 127.5 - 1.0).collect()
    }
}

/// A value in [-1, 1] as a byte, rounded half to even as diffusers and the kernel `pixels` do.
pub(crate) fn unit_to_byte(value: f32) -> u8 {
    ((0.5 * value + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8
}

/// A buffer of zeros, or an error where the machine does not have so much memory.
fn zeros(bytes: u64) -> Result<Vec<u8>> {
    let mut buffer = reserved(bytes)?;
    buffer.resize(bytes as usize, 0);
    Ok(buffer)
}

/// An empty buffer with room for so many bytes, or an error where the machine does not have them.
fn reserved(bytes: u64) -> Result<Vec<u8>> {
    let mut buffer = Vec::new();
    match usize::try_from(bytes).map(|bytes| buffer.try_reserve_exact(bytes)) {
        Ok(Ok(())) => Ok(buffer),
        _ => {
            let message = format!("expected {bytes} bytes of memory for a picture, got none");
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_sizes_are_errors() {
        let huge = usize::MAX / 2;
        for (width, height, bytes) in [(2, 2, 11), (0, 2, 0), (huge, 3, 8), (huge, 2, 12)] {
            let error = Picture::new(width, height, vec![0; bytes]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Argument);
            assert!(error.to_string().contains(&format!("got {bytes} bytes")), "{error}");
        }
        let error = zeros(u64::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
