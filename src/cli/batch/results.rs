//! The file of results: what an earlier run of the batch did.

use croquis::{Error, ErrorKind, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file of results that is read and then added to.
pub struct Results {
    path: PathBuf,
    file: File,
    /// The last result of each line.
    done: BTreeMap<u64, Value>,
}

impl Results {
    /// Opens a file, or makes it. What follows the last end of a line was cut off and is removed.
    ///
    /// # Errors
    /// `Io`; `Format`, with the line, if there is something else than results in it.
    pub fn open(path: &Path) -> Result<Results> {
        let io = |error| failed(path, error);
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        file.set_len(bytes.len() as u64).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        let mut done = BTreeMap::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let result: Value = serde_json::from_slice(line).unwrap_or_default();
            let Some(number) = result["line"].as_u64() else {
                let message = format!(
                    "--results {}:{}: expected a result of croquis batch; choose a file that does \
                     not exist or has the results of this batch",
                    path.display(),
                    index + 1
                );
                return Err(Error::new(ErrorKind::Format, message));
            };
            done.insert(number, result);
        }
        Ok(Results { path: path.into(), file, done })
    }

    /// The files of a line that was done, if they are there and the request was the same.
    pub fn files(&self, line: usize, request: &Value) -> Option<Vec<PathBuf>> {
        let result =
            self.done.get(&(line as u64)).filter(|result| result["request"] == *request)?;
        let files = result["files"].as_array()?.iter();
        let paths: Option<Vec<_>> = files.map(|file| Some(PathBuf::from(file.as_str()?))).collect();
        paths.filter(|paths| paths.iter().all(|file| file.exists()))
    }

    /// Adds a result.
    pub fn add(&mut self, result: &Value) -> Result<()> {
        let line = format!("{result}\n");
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.flush());
        written.map_err(|error| failed(&self.path, error))
    }
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    let message = format!("--results {} cannot be read and written", path.display());
    Error::new(ErrorKind::Io, message).with_source(error)
}
