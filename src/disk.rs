//! Files of models on disk: regular files only, and small ones up to a size. A named pipe would wait
//! for a writer that may never come, a device may never end.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// The most bytes of a configuration, tokenizer or index. The largest in use, a tokenizer of 250,000
/// tokens, has 17 MB.
pub const MAX_SMALL_BYTES: u64 = 64 << 20;

/// Opens a regular file, or a link to one, for reading.
///
/// # Errors
/// Those of the system; `InvalidInput` for a folder, pipe, socket or device.
pub fn open(path: &Path) -> io::Result<File> {
    // Before it is opened: that of a pipe waits for a writer.
    regular(&path.metadata()?)?;
    let file = File::open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// Reads a small file as a whole.
///
/// # Errors
/// As [`open`]; `FileTooLarge` beyond [`MAX_SMALL_BYTES`].
pub fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    read_up_to(path, MAX_SMALL_BYTES)
}

fn read_up_to(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let message = format!("expected a file of at most {most} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

fn regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let got = if metadata.is_dir() { "a folder" } else { "a pipe, a socket or a device" };
    let message = format!("expected a regular file, got {got}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let this = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/disk.rs");
        let bytes = read_small(&this).unwrap();
        assert!(bytes.starts_with(b"//!"));
        let most = bytes.len() as u64;
        assert_eq!(read_up_to(&this, most).unwrap(), bytes);
        let error = read_up_to(&this, most - 1).unwrap_err();
        assert!(error.to_string().contains("at most"), "{error}");
        let folder = open(this.parent().unwrap()).unwrap_err();
        assert!(folder.to_string().contains("got a folder"), "{folder}");
        assert_eq!(open(Path::new("no-such-file")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    #[cfg(unix)]
    fn endless_files_are_refused() {
        let error = read_small(Path::new("/dev/zero")).unwrap_err();
        assert!(error.to_string().contains("a device"), "{error}");
    }
}
