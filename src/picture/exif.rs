//! The comment (`UserComment`) of an EXIF block (CIPA DC-008, Exif 2.32): where AUTOMATIC1111's web UI
//! and others keep the settings of JPEG and WebP files.

/// The tag of the pointer to the Exif directory, and of the comment in it.
const EXIF_DIRECTORY: u16 = 0x8769;
const USER_COMMENT: u16 = 0x9286;

/// The name of the encoding in front of a comment, and of another one.
const UNICODE: &[u8; 8] = b"UNICODE\0";
const ASCII: &[u8; 8] = b"ASCII\0\0\0";

/// An EXIF block with a comment, laid out as by the Python package piexif, which the web UI uses:
/// big endian, a directory that points to one with the comment, as UTF-16.
pub(super) fn with_comment(text: &str) -> Vec<u8> {
    let comment: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let length = (UNICODE.len() + comment.len()) as u32;
    // A directory is the number of its entries, the entries of 12 bytes, the place of the next one.
    let directory = |tag: u16, kind: u16, count: u32, value: u32| {
        let entry = [&tag.to_be_bytes()[..], &kind.to_be_bytes()].concat();
        [&[0, 1], &entry[..], &count.to_be_bytes(), &value.to_be_bytes(), &[0; 4]].concat()
    };
    let (long, undefined) = (4, 7);
    let first = directory(EXIF_DIRECTORY, long, 1, 26);
    let second = directory(USER_COMMENT, undefined, length, 44);
    [&b"MM\0*\0\0\0\x08"[..], &first, &second, UNICODE, &comment].concat()
}

/// The comment of an EXIF block, if it has one that can be read.
pub(super) fn comment(exif: &[u8]) -> Option<String> {
    let block = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let big = match block.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let block = Block { bytes: block, big };
    let (_, directory) = block.entry(block.u32(4)?, EXIF_DIRECTORY)?;
    let (count, place) = block.entry(directory, USER_COMMENT)?;
    let start = usize::try_from(place).ok()?;
    let end = start.checked_add(usize::try_from(count).ok()?)?;
    let (encoding, text) = block.bytes.get(start..end)?.split_first_chunk::<8>()?;
    let text = match encoding {
        UNICODE => utf16(text, big),
        ASCII | [0, 0, 0, 0, 0, 0, 0, 0] => String::from_utf8_lossy(text).into_owned(),
        _ => return None,
    };
    Some(text.trim_end_matches('\0').to_owned())
}

/// An EXIF block and its byte order.
struct Block<'b> {
    bytes: &'b [u8],
    big: bool,
}

impl Block<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = *self.bytes.get(at..)?.first_chunk::<N>()?;
        if !self.big {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// The count and the value of an entry in the directory at a place.
    fn entry(&self, directory: u32, tag: u16) -> Option<(u32, u32)> {
        let start = usize::try_from(directory).ok()?;
        let entries = usize::from(self.u16(start)?);
        let places = (0..entries).map_while(|index| start.checked_add(2 + 12 * index));
        let at =
            places.take_while(|at| *at < self.bytes.len()).find(|at| self.u16(*at) == Some(tag))?;
        Some((self.u32(at.checked_add(4)?)?, self.u32(at.checked_add(8)?)?))
    }
}

/// UTF-16 text. Programs disagree on the byte order: it is that of a byte order mark, else the one
/// by which more characters are ASCII, else the block's.
fn utf16(bytes: &[u8], big: bool) -> String {
    let units = |big: bool| {
        bytes.chunks_exact(2).map(move |pair| match big {
            true => u16::from_be_bytes([pair[0], pair[1]]),
            false => u16::from_le_bytes([pair[0], pair[1]]),
        })
    };
    let ascii = |big: bool| units(big).filter(|unit| (1..128).contains(unit)).count();
    let big = match (units(true).next(), ascii(true).cmp(&ascii(false))) {
        (Some(0xfeff), _) => true,
        (Some(0xfffe), _) => false,
        (_, std::cmp::Ordering::Equal) => big,
        (_, order) => order.is_gt(),
    };
    let text =
        char::decode_utf16(units(big)).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    text.filter(|character| *character != '\u{feff}').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_read_back() {
        for text in ["ein Apfel, 苹果 🍎\nSteps: 2, Seed: 1", "苹果", "", "a"] {
            let exif = with_comment(text);
            assert_eq!(comment(&exif).as_deref(), Some(text));
            assert_eq!(comment(&[b"Exif\0\0", &exif[..]].concat()).as_deref(), Some(text));
        }
    }

    #[test]
    fn damaged_blocks_have_no_comment_or_a_shorter_one() {
        let exif = with_comment("an apple");
        for length in 0..exif.len() {
            assert_eq!(comment(&exif[..length]), None, "{length}");
        }
        for at in 0..exif.len() {
            for value in [0, 1, 127, 255] {
                let mut damaged = exif.clone();
                damaged[at] = value;
                let _ = comment(&damaged); // must not panic
            }
        }
    }
}
