//! The requests of a batch, read line by line.

use croquis::{Error, ErrorKind, Result};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::path::{Path, PathBuf};

/// The lines of a file or of standard input that are not empty, with their numbers from 1.
pub struct Lines {
    input: Box<dyn BufRead>,
    file: PathBuf,
    number: usize,
}

impl Lines {
    /// Opens a file; `-` is standard input.
    pub fn open(file: &Path) -> Result<Lines> {
        let input: Box<dyn BufRead> = match file.as_os_str() == "-" {
            true => Box::new(stdin().lock()),
            false => Box::new(BufReader::new(File::open(file).map_err(|error| {
                let kind = match error.kind() {
                    std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                    _ => ErrorKind::Io,
                };
                let message = format!("{} cannot be opened", file.display());
                Error::new(kind, message).with_source(error)
            })?)),
        };
        Ok(Lines { input, file: file.into(), number: 0 })
    }
}

impl Iterator for Lines {
    type Item = Result<(usize, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut line = Vec::new();
            self.number += 1;
            match self.input.read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => return Some(Ok((self.number, line))),
                Err(error) => {
                    let message = format!("{} cannot be read", self.file.display());
                    return Some(Err(Error::new(ErrorKind::Io, message).with_source(error)));
                }
            }
        }
    }
}

/// The JSON object of a line.
pub fn object(line: Vec<u8>) -> Result<Value> {
    let value = serde_json::from_slice(&line).map_err(|error| {
        Error::new(ErrorKind::Format, "expected a JSON object").with_source(error)
    })?;
    match value {
        Value::Object(_) => Ok(value),
        other => Err(Error::new(ErrorKind::Format, format!("expected a JSON object, got {other}"))),
    }
}
