//! Writing pictures: PNG, JPEG and WebP, with the settings that they were generated with.

use super::settings::KEYWORD;
use super::{Picture, exif};
use crate::error::{Error, ErrorKind, Result};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageResult};
use std::path::Path;

/// The quality of JPEG files where none is given.
const JPEG_QUALITY: u8 = 95;

/// The longest EXIF block of a JPEG file, whose segments have lengths of 16 bits.
const MAX_JPEG_EXIF_BYTES: usize = 65_000;

/// A file format in which pictures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// PNG, without loss.
    Png,
    /// JPEG of a quality from 1 to 100, with colours at full resolution.
    Jpeg {
        /// The quality.
        quality: u8,
    },
    /// WebP, without loss.
    WebP,
}

impl Format {
    /// The format of a file's extension, in upper or lower case: `png`, `jpg` or `jpeg` (of quality
    /// 95), or `webp`. Without an extension it is PNG.
    ///
    /// # Errors
    /// `Argument` for another extension.
    pub fn of(path: &Path) -> Result<Format> {
        let Some(extension) = path.extension() else { return Ok(Format::Png) };
        match extension.to_string_lossy().to_ascii_lowercase().as_str() {
            "png" => Ok(Format::Png),
            "jpg" | "jpeg" => Ok(Format::Jpeg { quality: JPEG_QUALITY }),
            "webp" => Ok(Format::WebP),
            _ => {
                let message = format!(
                    "{}: expected a name that ends in .png, .jpg, .jpeg or .webp",
                    path.display()
                );
                Err(Error::new(ErrorKind::Argument, message))
            }
        }
    }
}

impl Picture {
    /// The contents of a file with this picture. In a PNG, each pair of keyword and text becomes a
    /// `tEXt` chunk (`iTXt` where Latin-1 does not suffice). JPEG and WebP have place for one text, the
    /// EXIF `UserComment`, which gets that of the keyword `parameters`; a JPEG is written without it
    /// where it is longer than about 32,000 characters. [`settings_text`](super::settings_text)
    /// reads it back.
    ///
    /// # Errors
    /// `Argument` if the format has no pictures of this size, or a keyword is not one of PNG
    /// (1 to 79 characters of Latin-1).
    pub fn encode(&self, format: Format, texts: &[(&str, &str)]) -> Result<Vec<u8>> {
        let comment = texts.iter().find(|(keyword, _)| *keyword == KEYWORD);
        let comment = comment.map(|(_, text)| exif::with_comment(text)).unwrap_or_default();
        let mut out = Vec::new();
        match format {
            Format::Png => self.encode_png(&mut out, texts),
            Format::Jpeg { quality } => {
                let encoder = JpegEncoder::new_with_quality(&mut out, quality.clamp(1, 100));
                let fits = comment.len() <= MAX_JPEG_EXIF_BYTES;
                self.encode_with(encoder, if fits { comment } else { Vec::new() })
            }
            Format::WebP => self.encode_with(WebPEncoder::new_lossless(&mut out), comment),
        }?;
        Ok(out)
    }

    fn encode_png(&self, out: &mut Vec<u8>, texts: &[(&str, &str)]) -> Result<()> {
        let [width, height] = self.sides()?;
        let mut encoder = png::Encoder::new(out, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        for (keyword, text) in texts {
            let latin = text.chars().all(|c| c != '\0' && u32::from(c) < 256);
            let chunk = if latin {
                encoder.add_text_chunk(keyword.to_string(), text.to_string())
            } else {
                encoder.add_itxt_chunk(keyword.to_string(), text.replace('\0', ""))
            };
            chunk.map_err(refused)?;
        }
        let mut writer = encoder.write_header().map_err(refused)?;
        writer.write_image_data(&self.rgb).map_err(refused)?;
        writer.finish().map_err(refused)
    }

    /// Writes the picture by an encoder, with an EXIF block unless it is empty.
    fn encode_with(&self, mut encoder: impl ImageEncoder, exif: Vec<u8>) -> Result<()> {
        let [width, height] = self.sides()?;
        let written = || -> ImageResult<()> {
            if !exif.is_empty() {
                encoder.set_exif_metadata(exif).map_err(image::ImageError::Unsupported)?;
            }
            encoder.write_image(&self.rgb, width, height, ExtendedColorType::Rgb8)
        };
        written().map_err(refused)
    }

    fn sides(&self) -> Result<[u32; 2]> {
        let side = |pixels: usize| u32::try_from(pixels).map_err(refused);
        Ok([side(self.width)?, side(self.height)?])
    }
}

/// The error for what an encoder refuses.
fn refused(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Argument, "the picture cannot be encoded").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::settings_text;

    const SETTINGS: &str = "ein Apfel, 苹果\nSteps: 1, Seed: 1";

    /// A picture with a gradient in each colour.
    fn gradients() -> Picture {
        let pixel = |i: usize| [(i % 40 * 6) as u8, (i / 40 * 10) as u8, 128];
        Picture::new(40, 24, (0..40 * 24).flat_map(pixel).collect()).expect("a picture")
    }

    #[test]
    fn every_format_keeps_pixels_and_settings() -> Result<()> {
        let picture = gradients();
        let jpeg = Format::Jpeg { quality: 95 };
        for (format, most) in [(Format::Png, 0), (Format::WebP, 0), (jpeg, 4)] {
            let bytes = picture.encode(format, &[("other", "x"), (KEYWORD, SETTINGS)])?;
            let read = Picture::read(&bytes)?;
            let pairs = picture.rgb().iter().zip(read.rgb());
            let worst = pairs.map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(most), "{format:?}: {worst:?}");
            assert_eq!(settings_text(&bytes)?.as_deref(), Some(SETTINGS), "{format:?}");
            let plain = picture.encode(format, &[])?;
            assert_eq!(settings_text(&plain)?, None, "{format:?}");
        }
        Ok(())
    }

    #[test]
    fn a_lower_quality_makes_a_smaller_jpeg() -> Result<()> {
        let length = |quality| Ok(gradients().encode(Format::Jpeg { quality }, &[])?.len());
        let lengths: Result<Vec<_>> = [0, 20, 95, 100, 255].into_iter().map(length).collect();
        assert!(lengths?.is_sorted());
        assert!(length(20)? < length(95)?);
        Ok(())
    }

    #[test]
    fn settings_too_long_for_a_jpeg_are_left_out() -> Result<()> {
        let long = "a".repeat(40_000);
        let jpeg = gradients().encode(Format::Jpeg { quality: 95 }, &[(KEYWORD, &long)])?;
        assert_eq!(settings_text(&jpeg)?, None);
        assert_eq!((Picture::read(&jpeg)?.width(), Picture::read(&jpeg)?.height()), (40, 24));
        let webp = gradients().encode(Format::WebP, &[(KEYWORD, &long)])?;
        assert_eq!(settings_text(&webp)?, Some(long));
        Ok(())
    }

    #[test]
    fn extensions_tell_formats() {
        let of = |name: &str| Format::of(Path::new(name)).ok();
        assert_eq!(of("a.PNG"), Some(Format::Png));
        assert_eq!(of("a"), Some(Format::Png));
        assert_eq!(of("a.b/c.Jpeg"), Some(Format::Jpeg { quality: 95 }));
        assert_eq!(of("a.jpg"), Some(Format::Jpeg { quality: 95 }));
        assert_eq!(of("a.webp"), Some(Format::WebP));
        assert_eq!(of("a.gif"), None);
    }

    #[test]
    fn what_a_format_does_not_have_is_refused() {
        let long = Picture::new(70_000, 1, vec![0; 210_000]).expect("a picture");
        for format in [Format::Jpeg { quality: 95 }, Format::WebP] {
            assert_eq!(long.encode(format, &[]).unwrap_err().kind(), ErrorKind::Argument);
        }
        let error = gradients().encode(Format::Png, &[("", "x")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument);
    }
}
