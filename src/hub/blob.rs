//! Downloads one file's contents (a blob) into the cache: locked, resumed, verified, then renamed.

use super::client::{Contents, Entry};
use crate::error::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Number of connections in a row without new bytes after which a download is given up.
const ATTEMPTS: u32 = 4;
const BUFFER_BYTES: usize = 1 << 18;

/// The contents of one file in the cache, complete or being downloaded.
pub(super) struct Blob<'a> {
    /// The file's path in the repository, for messages.
    pub path: &'a str,
    pub entry: &'a Entry,
    pub folder: PathBuf,
    pub locks: PathBuf,
}

impl Blob<'_> {
    pub fn file(&self) -> PathBuf {
        self.folder.join(&self.entry.blob)
    }

    /// Whether the contents are complete.
    pub fn exists(&self) -> bool {
        fs::metadata(self.file()).is_ok_and(|found| found.len() == self.entry.bytes)
    }

    /// Downloads the missing bytes. `open` requests the contents from a byte on; `progress`
    /// receives the number of bytes present and may stop the download, which can be resumed later.
    ///
    /// # Errors
    /// Those of `open`; `Cancelled`; `Io` if the connection breaks repeatedly or the disk fails;
    /// `Format` if the contents differ from the size or checksum that the hub announced.
    pub fn download(
        &self,
        open: impl Fn(u64) -> Result<Contents>,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<()> {
        create_folder(&self.folder)?;
        create_folder(&self.locks)?;
        let lock = self.locks.join(format!("{}.lock", self.entry.blob));
        let lock_file = File::create(&lock).map_err(|error| disk(&lock, error))?;
        // Waits for another process that downloads the same blob; the lock is released with the
        // file.
        lock_file.lock().map_err(|error| disk(&lock, error))?;
        if self.exists() {
            return Ok(());
        }
        let partial = self.folder.join(format!("{}.incomplete", self.entry.blob));
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&partial)
            .map_err(|error| disk(&partial, error))?;
        let stored = file.metadata().map_err(|error| disk(&partial, error))?.len();
        let mut received = if stored > self.entry.bytes { 0 } else { stored };
        let (mut best, mut failures) = (received, 0);
        while received < self.entry.bytes {
            let broken = match open(received) {
                Ok(contents) => {
                    received = contents.from;
                    start_at(&mut file, received).map_err(|error| disk(&partial, error))?;
                    self.receive(contents, &mut file, &partial, &mut received, progress)?
                }
                Err(error) if error.kind() == ErrorKind::Io => Some(error),
                Err(error) => return Err(error),
            };
            if received == self.entry.bytes {
                break;
            }
            failures = if received > best { 0 } else { failures + 1 };
            best = best.max(received);
            if failures >= ATTEMPTS {
                return Err(self.broken(received, broken));
            }
            std::thread::sleep(Duration::from_millis(200) * 2u32.pow(failures));
        }
        start_at(&mut file, self.entry.bytes).map_err(|error| disk(&partial, error))?;
        self.verify(&mut file, &partial)?;
        file.sync_all().map_err(|error| disk(&partial, error))?;
        let target = self.file();
        fs::rename(&partial, &target).map_err(|error| disk(&target, error))
    }

    /// Writes the received bytes until the response ends, and returns the error that ended it
    /// early, if any.
    fn receive(
        &self,
        mut contents: Contents,
        file: &mut File,
        partial: &Path,
        received: &mut u64,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Option<Error>> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = match contents.reader.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => count,
                Err(error) => {
                    let message = format!("{}: the connection broke", self.path);
                    return Ok(Some(Error::new(ErrorKind::Io, message).with_source(error)));
                }
            };
            *received += count as u64;
            if *received > self.entry.bytes {
                return Err(self.reject(partial, "bytes", self.entry.bytes, "more"));
            }
            file.write_all(&buffer[..count]).map_err(|error| disk(partial, error))?;
            if progress(*received).is_break() {
                let message = format!("the download of {} was cancelled", self.path);
                return Err(Error::new(ErrorKind::Cancelled, message));
            }
        }
    }

    /// Verifies the SHA-256 of a large file; for a small one the hub gives only the size.
    fn verify(&self, file: &mut File, partial: &Path) -> Result<()> {
        let Some(expected) = &self.entry.sha256 else { return Ok(()) };
        file.rewind().map_err(|error| disk(partial, error))?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match file.read(&mut buffer).map_err(|error| disk(partial, error))? {
                0 => break,
                count => hasher.update(&buffer[..count]),
            }
        }
        let hash = hasher.finalize();
        let got = hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match got == *expected {
            true => Ok(()),
            false => Err(self.reject(partial, "SHA-256", expected, &got)),
        }
    }

    /// Removes contents that differ from the announced ones.
    fn reject(
        &self,
        partial: &Path,
        what: &str,
        expected: impl std::fmt::Display,
        got: &str,
    ) -> Error {
        let message = format!(
            "{}: {what}: expected {expected}, got {got}; the received data was removed, download it again",
            self.path
        );
        match fs::remove_file(partial) {
            Ok(()) => Error::new(ErrorKind::Format, message),
            Err(error) => disk(partial, error),
        }
    }

    fn broken(&self, received: u64, last: Option<Error>) -> Error {
        let (path, bytes) = (self.path, self.entry.bytes);
        let message = format!(
            "{path}: got {received} of {bytes} bytes; the received data is kept, and the same command \
             continues from there again"
        );
        let error = Error::new(ErrorKind::Io, message);
        match last {
            Some(last) => error.with_source(last),
            None => error,
        }
    }
}

/// Truncates the file at a position and continues writing there.
fn start_at(file: &mut File, position: u64) -> std::io::Result<()> {
    file.set_len(position)?;
    file.seek(SeekFrom::Start(position)).map(|_| ())
}

/// Creates a folder and its parents.
pub(super) fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| disk(folder, error))
}

/// The error for a cache that cannot be written.
pub(super) fn disk(path: &Path, error: std::io::Error) -> Error {
    let message = format!("{}: the cache cannot be written", path.display());
    Error::new(ErrorKind::Io, message).with_source(error)
}
