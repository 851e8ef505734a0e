//! The crate's error type: opaque, with a [`kind`](Error::kind) to match on and a message that says
//! where, what was expected and what was found.

use std::fmt;

/// The kind of an error, coarse: enough to decide how to react.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file or folder that should exist does not.
    NotFound,
    /// Reading or writing failed.
    Io,
    /// A file is damaged or not of the format it claims.
    Format,
    /// A configuration file is invalid, or asks for something impossible.
    Config,
    /// A weight is missing, unused, of another shape or type, or holds NaN.
    Weights,
    /// Tensor shapes do not fit together.
    Shape,
    /// An argument of the caller is out of range or contradicts another.
    Argument,
    /// The request is valid, but this version or this device cannot do it.
    Unsupported,
    /// No usable GPU, or the GPU reported a failure.
    Device,
    /// The work does not fit the memory or the limits of the device.
    Memory,
    /// A result is not finite.
    Numeric,
    /// The caller cancelled the work.
    Cancelled,
}

/// An error of this crate.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<&'static str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error. The message is a full sentence without a final full stop: where, what was
    /// expected, what was found.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, message: message.into(), hint: None, source: None }))
    }

    /// Adds the error that caused this one; its message follows this one's.
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds the place of the error in front of the message: `context: message`.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// Adds what the user can do about it, where the place that found the error knows.
    pub(crate) fn with_hint(mut self, hint: &'static str) -> Self {
        self.0.hint = Some(hint);
        self
    }

    /// What the user can do about it, where that is known and the message does not say it.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as _)
    }
}
