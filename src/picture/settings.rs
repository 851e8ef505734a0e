//! The settings that a picture was generated with, as text in its file.

use super::decode::{broken_png, check_png, damaged, format};
use super::{exif, webp};
use crate::error::Result;
use image::codecs::jpeg::JpegDecoder;
use image::{ImageDecoder, ImageFormat};
use std::io::Cursor;

/// The keyword of a PNG's settings.
pub(super) const KEYWORD: &str = "parameters";

/// The settings text of a PNG, JPEG or WebP file, given its contents: in a PNG the text `parameters`
/// (`tEXt`, `zTXt` or `iTXt`), else the EXIF `UserComment`. This is where croquis, AUTOMATIC1111's web
/// UI and others put it; its form is not checked. The pixels are not decoded.
///
/// # Errors
/// `Format` if it is none of these formats or damaged; `Unsupported` for a PNG whose sides are too
/// long.
pub fn settings_text(bytes: &[u8]) -> Result<Option<String>> {
    let format = format(bytes)?;
    match format {
        ImageFormat::Png => in_png(bytes),
        ImageFormat::WebP => Ok(webp::exif(bytes)?.and_then(exif::comment)),
        _ => {
            let decoder = JpegDecoder::new(Cursor::new(bytes));
            let block = decoder.and_then(|mut decoder| decoder.exif_metadata());
            let block = block.map_err(|error| damaged(format, error))?;
            Ok(block.as_deref().and_then(exif::comment))
        }
    }
}

fn in_png(bytes: &[u8]) -> Result<Option<String>> {
    check_png(bytes)?;
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().map_err(broken_png)?;
    if let Some(text) = png_text(reader.info()) {
        return Ok(Some(text));
    }
    reader.finish().map_err(broken_png)?; // texts may come after the pixels
    let info = reader.info();
    let comment = || info.exif_metadata.as_deref().and_then(exif::comment);
    Ok(png_text(info).or_else(comment))
}

/// The text `parameters` among the texts of a PNG that were read so far.
fn png_text(info: &png::Info) -> Option<String> {
    let latin = info.uncompressed_latin1_text.iter().find(|text| text.keyword == KEYWORD);
    let packed = info.compressed_latin1_text.iter().find(|text| text.keyword == KEYWORD);
    let utf8 = info.utf8_text.iter().find(|text| text.keyword == KEYWORD);
    utf8.and_then(|text| text.get_text().ok())
        .or_else(|| latin.map(|text| text.text.clone()))
        .or_else(|| packed.and_then(|text| text.get_text().ok()))
}
