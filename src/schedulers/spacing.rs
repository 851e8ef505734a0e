//! [`Spacing`]: how the steps of a run are spread, and the names for it.

use std::fmt;
use std::str::FromStr;

use super::names::plain;
use crate::error::{Error, ErrorKind, Result};

/// The spacing of a run's steps over the timesteps or noise levels. A sampler supports some of
/// them: [`SchedulerKind::spacings`](super::SchedulerKind::spacings).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Spacing {
    /// Equal strides from timestep 0 (plus `steps_offset`) up; the last training timestep is never
    /// reached.
    Leading,
    /// From the last training timestep to the first, both included.
    Linspace,
    /// Equal strides from the last training timestep down, for distilled models. AUTOMATIC1111 and
    /// ComfyUI have a similar "SGM uniform", whose timesteps differ by up to one.
    Trailing,
    /// Karras' noise levels (arXiv:2206.00364, equation 5): dense where there is little noise.
    Karras,
    /// Noise levels with a constant ratio.
    Exponential,
    /// Noise levels at quantiles of a beta distribution (arXiv:2407.12173): dense at both ends.
    Beta,
    /// Noise levels equally spaced in λ = −ln σ (arXiv:2206.00927), at whole timesteps; multistep
    /// DPM-Solver++ has it.
    Lu,
}

use Spacing::*;

impl Spacing {
    /// Every spacing.
    pub const ALL: [Spacing; 7] = [Leading, Linspace, Trailing, Karras, Exponential, Beta, Lu];

    /// Every spacing but [`Lu`].
    pub(super) const WITHOUT_LU: [Spacing; 6] =
        [Leading, Linspace, Trailing, Karras, Exponential, Beta];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Leading => "leading",
            Linspace => "linspace",
            Trailing => "sgm-uniform",
            Karras => "karras",
            Exponential => "exponential",
            Beta => "beta",
            Lu => "lu",
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

    /// Parses a command-line name, `trailing`, or AUTOMATIC1111's name, in capitals or not; the
    /// error, of kind `Argument`, lists the command-line names.
    fn from_str(name: &str) -> Result<Self> {
        let wanted = plain(name);
        let known = |spacing: &Spacing| {
            wanted == plain(spacing.name()) || *spacing == Trailing && wanted == "trailing"
        };
        Spacing::ALL.into_iter().find(known).ok_or_else(|| {
            let names = Spacing::ALL.map(Spacing::name).join(", ");
            let message = format!("spacing: expected one of {names}, got {name:?}");
            Error::new(ErrorKind::Argument, message)
        })
    }
}
