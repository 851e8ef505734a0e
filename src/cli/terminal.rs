//! Standard output and standard error, of which either may be closed.

use croquis::{Error, ErrorKind, Result};
use std::fmt::Display;
use std::io::{ErrorKind as IoErrorKind, Write, stderr, stdout};

/// A line for people, on standard error. That nobody listens is no failure.
pub fn say(line: impl Display) {
    let _ = writeln!(stderr().lock(), "{line}");
}

/// A line of the result, on standard output. A reader that has seen enough is no failure.
pub fn print(line: impl Display) -> Result<()> {
    let mut out = stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != IoErrorKind::BrokenPipe => {
            let message = "standard output cannot be written";
            Err(Error::new(ErrorKind::Io, message).with_source(error))
        }
        _ => Ok(()),
    }
}

/// One line of JSON on standard output.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let line = serde_json::to_string(value).map_err(|error| {
        Error::new(ErrorKind::Io, "the result cannot be written as JSON").with_source(error)
    })?;
    print(line)
}
