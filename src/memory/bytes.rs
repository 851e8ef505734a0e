//! Numbers of bytes in messages.

use std::fmt;

/// A number of bytes that is shown as `1.25 GiB` or `3.0 MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gib, mib) = (1u64 << 30, 1u64 << 20);
        match self.0 {
            bytes if bytes >= gib => write!(f, "{:.2} GiB", bytes as f64 / gib as f64),
            bytes => write!(f, "{:.1} MiB", bytes as f64 / mib as f64),
        }
    }
}
