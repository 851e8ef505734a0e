//! [`Picture`]: an 8-bit RGB image in memory, read from and written to PNG.

use crate::error::{Error, ErrorKind, Result};
use std::io::{BufRead, Seek, Write};

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
        if width == 0 || height == 0 || rgb.len() != 3 * width * height {
            let message = format!(
                "a picture of {width}x{height}: expected {} bytes, got {}",
                3 * width * height,
                rgb.len()
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(Picture { width, height, rgb })
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

    /// Writes a PNG. Each pair of keyword and text becomes an `iTXt` chunk (or `tEXt` where Latin-1
    /// suffices); other tools look for their settings under `parameters`.
    ///
    /// # Errors
    /// `Io` if writing fails.
    pub fn write_png(&self, out: impl Write, texts: &[(&str, &str)]) -> Result<()> {
        let failed = |error: png::EncodingError| {
            Error::new(ErrorKind::Io, "writing the PNG failed").with_source(error)
        };
        let mut encoder = png::Encoder::new(out, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        for (keyword, text) in texts {
            let latin = text.chars().all(|c| c != '\0' && u32::from(c) < 256);
            let chunk = if latin {
                encoder.add_text_chunk(keyword.to_string(), text.to_string())
            } else {
                encoder.add_itxt_chunk(keyword.to_string(), text.replace('\0', ""))
            };
            chunk.map_err(failed)?;
        }
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(&self.rgb).map_err(failed)?;
        writer.finish().map_err(failed)
    }

    /// Reads a PNG of any colour type; transparent pixels are blended with white.
    ///
    /// # Errors
    /// `Format` if it is not a PNG or is damaged.
    pub fn read_png(input: impl BufRead + Seek) -> Result<Picture> {
        let failed = |error: png::DecodingError| {
            Error::new(ErrorKind::Format, "this is not a readable PNG").with_source(error)
        };
        let mut decoder = png::Decoder::new(input);
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(failed)?;
        let size = reader.output_buffer_size().ok_or_else(|| {
            Error::new(ErrorKind::Format, "the PNG is too large for this machine")
        })?;
        let mut bytes = vec![0; size];
        let frame = reader.next_frame(&mut bytes).map_err(failed)?;
        let over_white = |value: u8, alpha: u8| {
            ((u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha))) / 255) as u8
        };
        bytes.truncate(frame.buffer_size());
        let rgb = match frame.color_type {
            png::ColorType::Rgb => bytes,
            png::ColorType::Grayscale => bytes.iter().flat_map(|&v| [v; 3]).collect(),
            png::ColorType::GrayscaleAlpha => {
                bytes.chunks_exact(2).flat_map(|p| [over_white(p[0], p[1]); 3]).collect()
            }
            png::ColorType::Rgba => bytes
                .chunks_exact(4)
                .flat_map(|p| [p[0], p[1], p[2]].map(|value| over_white(value, p[3])))
                .collect(),
            png::ColorType::Indexed => {
                return Err(Error::new(ErrorKind::Format, "the PNG's palette was not expanded"));
            }
        };
        Picture::new(frame.width as usize, frame.height as usize, rgb)
    }

    /// Writes a PNG file; see [`write_png`](Picture::write_png). An existing file is replaced only
    /// once the new contents are written.
    ///
    /// # Errors
    /// `Io` naming the path.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save(&self, path: impl AsRef<std::path::Path>, texts: &[(&str, &str)]) -> Result<()> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        self.write_png(&mut bytes, texts)?;
        // Links and devices are written to, never replaced by a file.
        let special = path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file());
        let written = if special {
            std::fs::write(path, bytes)
        } else {
            let part = path.with_added_extension("part");
            let renamed = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
            if renamed.is_err() {
                let _ = std::fs::remove_file(&part);
            }
            renamed
        };
        written.map_err(|error| {
            let message = format!("{} cannot be written", path.display());
            Error::new(ErrorKind::Io, message).with_source(error)
        })
    }

    /// Reads a PNG file; see [`read_png`](Picture::read_png).
    ///
    /// # Errors
    /// `NotFound`, `Io` or `Format`, naming the path.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<Picture> {
        let path = path.as_ref();
        let file = std::fs::File::open(path).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Io,
            };
            Error::new(kind, format!("{} cannot be opened", path.display())).with_source(error)
        })?;
        Picture::read_png(std::io::BufReader::new(file))
            .map_err(|error| error.context(path.display()))
    }
}

/// A value in [-1, 1] as a byte, rounded half to even as diffusers and the kernel `pixels` do.
pub(crate) fn unit_to_byte(value: f32) -> u8 {
    ((0.5 * value + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_keeps_pixels_and_texts() -> Result<()> {
        let picture = Picture::new(3, 2, (0..18).map(|v| v * 14).collect())?;
        let mut bytes = Vec::new();
        picture.write_png(&mut bytes, &[("parameters", "ein Apfel, 苹果\nSeed: 1")])?;
        assert_eq!(Picture::read_png(std::io::Cursor::new(&bytes))?, picture);
        let reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        let text = reader.info().utf8_text[0].get_text().unwrap();
        assert_eq!(text, "ein Apfel, 苹果\nSeed: 1");
        Ok(())
    }

    #[test]
    fn wrong_sizes_and_damaged_files_are_errors() {
        assert_eq!(Picture::new(2, 2, vec![0; 11]).unwrap_err().kind(), ErrorKind::Argument);
        let damaged = Picture::read_png(std::io::Cursor::new(b"not a picture"));
        assert_eq!(damaged.unwrap_err().kind(), ErrorKind::Format);
    }
}
