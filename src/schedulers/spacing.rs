//! The names of the spacings.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// How the steps of a run are spread over the noise levels. Not every sampler knows every one:
/// [`SchedulerKind::spacings`](super::SchedulerKind::spacings).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Spacing {
    /// Equal strides from timestep 0 (and `steps_offset`) up: never reaches the last one.
    Leading,
    /// From the last timestep to the first, both included.
    Linspace,
    /// Equal strides from the last timestep down: distilled models need it. Other programs call
    /// theirs "SGM uniform"; its timesteps lie up to one from these.
    Trailing,
    /// The noise levels of arXiv:2206.00364, equation 5: dense where there is little noise.
    Karras,
    /// Noise levels of a constant ratio.
    Exponential,
}

use Spacing::*;

impl Spacing {
    /// Every spacing.
    pub const ALL: [Spacing; 5] = [Leading, Linspace, Trailing, Karras, Exponential];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Leading => "leading",
            Linspace => "linspace",
            Trailing => "sgm-uniform",
            Karras => "karras",
            Exponential => "exponential",
        }
    }
}

impl fmt::Display for Spacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Spacing {
    type Err = Error;

    /// Reads a name of the command line, or `trailing`; the error, of kind `Argument`, lists them.
    fn from_str(name: &str) -> Result<Self> {
        let known = |spacing: &Spacing| {
            name == spacing.name() || *spacing == Trailing && name == "trailing"
        };
        Spacing::ALL.into_iter().find(known).ok_or_else(|| {
            let names = Spacing::ALL.map(Spacing::name).join(", ");
            let message = format!("spacing: expected one of {names}, got {name:?}");
            Error::new(ErrorKind::Argument, message)
        })
    }
}
