//! [`RandomKind`]: the noise generators and their names.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// A noise generator, named after the program whose noise it reproduces for a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RandomKind {
    /// PyTorch's CPU generator: diffusers' reproducible noise, and AUTOMATIC1111's `CPU`.
    #[default]
    Torch,
    /// Philox 4×32-10, PyTorch's CUDA generator as AUTOMATIC1111 reimplements it: its `NV`, and
    /// close to its default, `GPU`, on a CUDA GPU.
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

    /// Parses a command-line name; the error, of kind `Argument`, lists the names.
    fn from_str(name: &str) -> Result<Self> {
        RandomKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = RandomKind::ALL.map(RandomKind::name).join(", ");
            let message = format!("random: expected one of {names}, got {name:?}");
            Error::new(ErrorKind::Argument, message)
        })
    }
}
