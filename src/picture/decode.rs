//! Reading pictures: PNG, JPEG and WebP, recognised by their contents.

use super::{Picture, colours, orientation, reserved, webp, zeros};
use crate::error::{Error, ErrorKind, Result};
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageError, ImageFormat, Limits};
use std::io::Cursor;

/// The longest side of a picture, in pixels.
pub const MAX_SIDE: usize = 16_384;

/// The most bytes of a picture's samples: a picture of the longest sides with four channels of 8
/// bits.
const MAX_BYTES: u64 = 1 << 30;

/// The most bytes that a decoder takes for what is not samples, such as texts and colour profiles.
const MAX_EXTRA_BYTES: u64 = 64 << 20;

/// An upper bound of what the decoders of JPEG and WebP allocate for a pixel beside its samples:
/// coefficients of 16 bits in three planes.
const WORKING_BYTES: u64 = 8;

/// A picture that was read from a file's contents.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The picture, turned upright as the file's EXIF orientation says.
    pub picture: Picture,
    /// Whether any pixel was transparent; such pixels are blended with white.
    pub transparent: bool,
}

impl Picture {
    /// Reads a PNG, JPEG or WebP file from its contents: any colour type, of animations the first
    /// frame. It is turned as the EXIF orientation says, transparent pixels are blended with white
    /// (see [`Decoded`]), and colour profiles are ignored.
    ///
    /// # Errors
    /// `Format` if it is none of these or damaged; `Unsupported` if a side is longer than
    /// [`MAX_SIDE`], or if it does not fit the machine's memory.
    pub fn read(bytes: &[u8]) -> Result<Picture> {
        Ok(Decoded::read(bytes)?.picture)
    }
}

impl Decoded {
    /// [`Picture::read`], with what else is worth telling.
    ///
    /// # Errors
    /// As [`Picture::read`].
    pub fn read(bytes: &[u8]) -> Result<Decoded> {
        let format = format(bytes)?;
        let mut decoder = decoder(format, bytes)?;
        let (width, height) = decoder.dimensions();
        check_sides(width, height)?;
        let count = decoder.total_bytes();
        if count > MAX_BYTES {
            let message = format!(
                "this picture of {width}x{height} has {count} bytes of samples: expected up to {MAX_BYTES}"
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let turn = match format {
            ImageFormat::WebP => webp::exif(bytes)?.and_then(Orientation::from_exif_chunk),
            _ => decoder.orientation().ok(),
        };
        let colour = decoder.color_type();
        let mut samples = zeros(count)?;
        if format != ImageFormat::Png {
            // These decoders abort where memory is missing: they start only where it is there.
            drop(reserved(u64::from(width) * u64::from(height) * WORKING_BYTES)?);
        }
        decoder.read_image_boxed(&mut samples).map_err(|error| damaged(format, error))?;
        let (rgb, transparent) = colours::to_rgb(samples, colour)?;
        let picture = Picture::new(width as usize, height as usize, rgb)?;
        let picture = orientation::turned(picture, turn.unwrap_or(Orientation::NoTransforms))?;
        Ok(Decoded { picture, transparent })
    }
}

/// The format of a file by its contents.
pub(super) fn format(bytes: &[u8]) -> Result<ImageFormat> {
    let expected = "this is not a picture that can be read: expected PNG, JPEG or WebP";
    let message = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP)) => {
            return Ok(format);
        }
        Ok(other) => format!("{expected}, got {other:?}"),
        Err(_) => expected.into(),
    };
    Err(Error::new(ErrorKind::Format, message))
}

/// The decoder of a file. It has read the file's header and allocated nothing by its sizes.
fn decoder(format: ImageFormat, bytes: &[u8]) -> Result<Box<dyn ImageDecoder + '_>> {
    let input = Cursor::new(bytes);
    let opened: Result<Box<dyn ImageDecoder>, ImageError> = match format {
        ImageFormat::Jpeg => JpegDecoder::new(input).map(|decoder| Box::new(decoder) as _),
        ImageFormat::WebP => {
            webp::exif(bytes)?; // no piece of the file is larger than the file
            WebPDecoder::new(input).map(|decoder| Box::new(decoder) as _)
        }
        _ => {
            check_png(bytes)?;
            let mut limits = Limits::no_limits();
            limits.max_alloc = Some(MAX_EXTRA_BYTES);
            PngDecoder::with_limits(input, limits).map(|decoder| Box::new(decoder) as _)
        }
    };
    opened.map_err(|error| damaged(format, error))
}

/// Checks the sides in a PNG's header, by which its decoder allocates rows at once.
pub(super) fn check_png(bytes: &[u8]) -> Result<()> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    let (width, height) = decoder.read_header_info().map_err(broken_png)?.size();
    check_sides(width, height)
}

fn check_sides(width: u32, height: u32) -> Result<()> {
    if width as usize <= MAX_SIDE && height as usize <= MAX_SIDE {
        return Ok(());
    }
    let message =
        format!("expected a picture of up to {MAX_SIDE} pixels a side, got {width}x{height}");
    Err(Error::new(ErrorKind::Unsupported, message))
}

/// The error for a file that a decoder refuses.
pub(super) fn damaged(format: ImageFormat, error: ImageError) -> Error {
    let name = match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        _ => "PNG",
    };
    Error::new(ErrorKind::Format, format!("this {name} cannot be read")).with_source(error)
}

/// The error for a PNG whose chunks cannot be read.
pub(super) fn broken_png(error: png::DecodingError) -> Error {
    Error::new(ErrorKind::Format, "this PNG cannot be read").with_source(error)
}
