//! The names of the generators.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// A rule that turns a seed into noise: which other program a seed means the same noise as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RandomKind {
    /// PyTorch's generator on the CPU: diffusers' reproducible one, and AUTOMATIC1111's `CPU`.
    #[default]
    Torch,
    /// Philox 4×32-10, as AUTOMATIC1111 computes it where its noise shall be that of a CUDA GPU:
    /// its `NV`, and close to its default, `GPU`, on one.
    Philox,
}

impl RandomKind {
    /// Every generator.
    pub const ALL: [RandomKind; 2] = [RandomKind::Torch, RandomKind::Philox];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            RandomKind::Torch => "torch",
            RandomKind::Philox => "philox",
        }
    }
}

impl fmt::Display for RandomKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RandomKind {
    type Err = Error;

    /// Reads a name of the command line; the error, of kind `Argument`, lists them.
    fn from_str(name: &str) -> Result<Self> {
        RandomKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = RandomKind::ALL.map(RandomKind::name).join(", ");
            let message = format!("random: expected one of {names}, got {name:?}");
            Error::new(ErrorKind::Argument, message)
        })
    }
}
