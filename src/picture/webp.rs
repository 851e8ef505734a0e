//! The pieces (RIFF chunks) of a WebP file: its EXIF block.

use crate::error::{Error, ErrorKind, Result};

/// The EXIF block of a WebP file.
///
/// # Errors
/// `Format` if a piece is larger than the rest of the file.
pub(super) fn exif(bytes: &[u8]) -> Result<Option<&[u8]>> {
    // "RIFF", a length, "WEBP", then pieces: a name, a length, that many bytes, one more if odd.
    let mut rest = bytes.get(12..).unwrap_or_default();
    let mut found = None;
    while let Some((&[a, b, c, d, length @ ..], after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_le_bytes(length) as usize;
        let Some(piece) = after.get(..length) else {
            let message =
                format!("this WebP ends early: expected {length} more bytes, got {}", after.len());
            return Err(Error::new(ErrorKind::Format, message));
        };
        if [a, b, c, d] == *b"EXIF" {
            found = found.or(Some(piece));
        }
        rest = after.get(length + length % 2..).unwrap_or_default();
    }
    Ok(found)
}
