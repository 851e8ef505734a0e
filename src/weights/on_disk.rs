//! A file on disk that is read where it is needed, never mapped into memory: reading a mapped file
//! that somebody truncates ends the process, reading this one is an error.

use std::fs::File;
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::SystemTime;

/// An open file, with its length and time of modification when it was opened.
pub struct FileOnDisk {
    file: File,
    len: u64,
    modified: Option<SystemTime>,
    /// The first problem of a read.
    problem: Mutex<Option<String>>,
}

impl FileOnDisk {
    /// Opens a regular file.
    ///
    /// # Errors
    /// As [`crate::disk::open`].
    pub(super) fn open(path: &std::path::Path) -> io::Result<Self> {
        let file = crate::disk::open(path)?;
        let metadata = file.metadata()?;
        let (len, modified) = (metadata.len(), metadata.modified().ok());
        Ok(FileOnDisk { file, len, modified, problem: Mutex::default() })
    }

    /// The length when it was opened, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads the bytes from `start` on. What cannot be read becomes bytes that are NaN as floats, and
    /// [`problem`](FileOnDisk::problem) tells of it.
    pub(super) fn read(&self, start: u64, out: &mut [u8]) {
        if let Err(error) = self.read_exact(start, out) {
            out.fill(0xff);
            let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
            problem.get_or_insert_with(|| error.to_string());
        }
    }

    /// Reads the bytes from `start` on.
    ///
    /// # Errors
    /// Those of the system; `UnexpectedEof` if the file became shorter.
    pub(super) fn read_exact(&self, start: u64, out: &mut [u8]) -> io::Result<()> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_exact_at(&self.file, out, start);
        #[cfg(windows)]
        {
            let (mut start, mut out) = (start, out);
            while !out.is_empty() {
                match std::os::windows::fs::FileExt::seek_read(&self.file, out, start)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => {
                        start += count as u64;
                        out = &mut out[count..];
                    }
                }
            }
            Ok(())
        }
    }

    /// What went wrong since the file was opened: a read, or that somebody changed it.
    pub(super) fn problem(&self) -> Option<String> {
        let first = self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if first.is_some() {
            return first;
        }
        match self.file.metadata() {
            Err(error) => Some(error.to_string()),
            Ok(now) if now.len() != self.len => {
                Some(format!("it had {} bytes when it was opened, and has {}", self.len, now.len()))
            }
            Ok(now) if now.modified().ok() != self.modified => Some("it was written to".into()),
            Ok(_) => None,
        }
    }
}
