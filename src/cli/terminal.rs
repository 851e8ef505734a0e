//! Output to standard output and standard error; either may be closed.

use croquis::{Error, ErrorKind, Result};
use std::fmt::Display;
use std::io::{ErrorKind as IoErrorKind, Write, stderr, stdout};

/// Prints a message for the user to standard error. A closed standard error is not an error.
pub fn say(line: impl Display) {
    let _ = writeln!(stderr().lock(), "{line}");
}

/// Prints a line of the result to standard output. A reader that closes the pipe is not an error.
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

/// Prints a value as one line of JSON to standard output.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let line = serde_json::to_string(value).map_err(|error| {
        Error::new(ErrorKind::Io, "the result cannot be written as JSON").with_source(error)
    })?;
    print(line)
}
