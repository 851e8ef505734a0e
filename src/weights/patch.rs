//! Patches of a weight: a change that is added, and factors of its rows or inputs.

use std::sync::Arc;

use super::delta::Delta;
use super::low_rank::LowRank;
use crate::error::{Error, ErrorKind, Result};

/// The number of elements that are patched at a time where the numbers before are needed too.
const RUN: usize = 1024;

/// A patch of a weight W, which becomes W' = keep·W + f·(W + scale·ΔW). Without [`Scaling`] that is
/// W + scale·ΔW. Cloning it copies no numbers.
#[derive(Clone, Debug)]
pub struct Patch {
    delta: Option<Delta>,
    scale: f32,
    scaling: Option<Scaling>,
}

/// The factors f of a [`Patch`], one for each output or each input of the weight.
#[derive(Clone, Debug)]
pub enum Scaling {
    /// The factors themselves; keep = 0.
    Factors(Axis, Arc<[f32]>),
    /// f = share·m/(‖W + scale·ΔW‖ + ε) and keep = 1 − share, with the norms over all other axes
    /// (Liu et al., DoRA, 2024, equation 5).
    Magnitudes {
        /// The axis of the magnitudes.
        axis: Axis,
        /// The magnitudes m.
        magnitudes: Arc<[f32]>,
        /// The share of the changed weight.
        share: f32,
        /// ε.
        epsilon: f32,
    },
}

/// An axis of a weight `[O, I, kh, kw]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// O.
    Outputs,
    /// I.
    Inputs,
}

impl From<LowRank> for Patch {
    fn from(product: LowRank) -> Self {
        Patch { delta: Some(Delta::LowRank(product)), scale: 1.0, scaling: None }
    }
}

impl Patch {
    /// A change times `scale`, then factors.
    ///
    /// # Errors
    /// `Weights` if a number is not finite.
    pub fn new(delta: Option<Delta>, scale: f32, scaling: Option<Scaling>) -> Result<Self> {
        let mut numbers = vec![("scale", scale)];
        match &scaling {
            Some(Scaling::Factors(_, factors)) => {
                numbers.extend(factors.iter().map(|&factor| ("factors", factor)));
            }
            Some(Scaling::Magnitudes { magnitudes, share, .. }) => {
                numbers.push(("share", *share));
                numbers.extend(magnitudes.iter().map(|&magnitude| ("magnitudes", magnitude)));
            }
            None => {}
        }
        if let Some((which, value)) = numbers.into_iter().find(|(_, value)| !value.is_finite()) {
            let message = format!("expected finite numbers as {which}, got {value}");
            return Err(Error::new(ErrorKind::Weights, message));
        }
        Ok(Patch { delta, scale, scaling })
    }

    /// The change that is added, if there is one.
    pub fn delta(&self) -> Option<&Delta> {
        self.delta.as_ref()
    }

    /// The factor of the change.
    pub fn scale(&self) -> f32 {
        match &self.delta {
            Some(Delta::LowRank(product)) => product.scale() * self.scale,
            _ => self.scale,
        }
    }

    /// # Errors
    /// `Io` if a file of the patch was changed while it was in use.
    pub(super) fn intact(&self) -> Result<()> {
        self.delta.iter().try_for_each(Delta::intact)
    }

    /// Checks that the patch has the shape of a weight.
    pub(super) fn check(&self, file_shape: &[usize]) -> Result<()> {
        let misfit = |got: String| {
            let message =
                format!("expected a patch for a weight of shape {file_shape:?}, got one of {got}");
            Err(Error::new(ErrorKind::Weights, message))
        };
        let matrix = file_shape.split_first().and_then(|(&first, rest)| {
            let rest = rest.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim))?;
            Some([first, rest])
        });
        if let Some(delta) = &self.delta {
            let shape = delta.shape();
            if shape.is_none() || shape != matrix {
                return misfit(shape.map_or("no shape".into(), |shape| format!("{shape:?}")));
            }
        }
        match &self.scaling {
            Some(scaling) if scaling.axis().len(file_shape) != Some(scaling.len()) => {
                misfit(format!("{} {:?}", scaling.len(), scaling.axis()).to_lowercase())
            }
            _ => Ok(()),
        }
    }
}

impl Scaling {
    fn axis(&self) -> Axis {
        match self {
            Scaling::Factors(axis, _) | Scaling::Magnitudes { axis, .. } => *axis,
        }
    }

    fn len(&self) -> usize {
        match self {
            Scaling::Factors(_, values) | Scaling::Magnitudes { magnitudes: values, .. } => {
                values.len()
            }
        }
    }
}

impl Axis {
    /// The length of the axis of a weight of this shape, if it has it.
    pub fn len(self, shape: &[usize]) -> Option<usize> {
        shape.get(if self == Axis::Outputs { 0 } else { 1 }).copied()
    }
}

/// The product of sizes. Those of a tensor without elements may be too large to multiply.
fn count<'a>(sizes: impl IntoIterator<Item = &'a usize>) -> usize {
    sizes.into_iter().fold(1, |all: usize, &size| all.saturating_mul(size))
}

/// A patch with its factors for a weight.
#[derive(Clone, Debug)]
pub(super) struct Fitted<'a> {
    patch: &'a Patch,
    keep: f32,
    factors: Factors,
}

/// Factors of a weight's elements; none if there are no values.
#[derive(Clone, Debug)]
struct Factors {
    values: Arc<[f32]>,
    /// The number of consecutive elements that share a factor, after which the next one's begin.
    stride: usize,
}

impl Factors {
    /// The index of the factor of an element.
    fn index(&self, element: usize) -> usize {
        element / self.stride % self.values.len()
    }
}

impl<'a> Fitted<'a> {
    /// The patch for a weight of this shape, for which it was [checked](Patch::check). `read` has
    /// the weight's elements before the patch.
    pub(super) fn new(patch: &'a Patch, shape: &[usize], read: impl Fn(usize, &mut [f32])) -> Self {
        let mut factors = Factors { values: Arc::from([]), stride: 1 };
        let Some(scaling) = &patch.scaling else { return Fitted { patch, keep: 0.0, factors } };
        let after = if scaling.axis() == Axis::Outputs { 1 } else { 2 };
        factors.stride = count(shape.iter().skip(after)).max(1);
        match scaling {
            Scaling::Factors(_, values) => {
                factors.values = values.clone();
                Fitted { patch, keep: 0.0, factors }
            }
            Scaling::Magnitudes { magnitudes, share, epsilon, .. } => {
                factors.values = magnitudes.clone();
                let mut squares = vec![0f64; magnitudes.len()];
                let count = count(shape);
                let mut run = [0.0; RUN];
                for start in (0..count).step_by(RUN) {
                    let run = &mut run[..RUN.min(count - start)];
                    read(start, run);
                    patch.add(start, run);
                    for (element, value) in (start..).zip(run) {
                        squares[factors.index(element)] += f64::from(*value).powi(2);
                    }
                }
                let factor = |(magnitude, square): (&f32, f64)| {
                    let norm = square.sqrt() as f32 + epsilon;
                    // Elements whose norm is zero are zero, whatever the factor.
                    if norm == 0.0 { 0.0 } else { share * (magnitude / norm) }
                };
                factors.values = magnitudes.iter().zip(squares).map(factor).collect();
                Fitted { patch, keep: 1.0 - share, factors }
            }
        }
    }

    /// Patches the elements from `start` on, in row-major order, all of which exist.
    pub(super) fn apply(&self, start: usize, out: &mut [f32]) {
        if self.factors.values.is_empty() {
            return self.patch.add(start, out);
        }
        let mut before = [0.0; RUN];
        for (start, out) in (start..).step_by(RUN).zip(out.chunks_mut(RUN)) {
            let before = &mut before[..out.len()];
            before.copy_from_slice(out);
            self.patch.add(start, out);
            for ((element, out), before) in (start..).zip(out).zip(before) {
                *out *= self.factors.values[self.factors.index(element)];
                if self.keep != 0.0 {
                    *out += self.keep * *before;
                }
            }
        }
    }
}

impl Patch {
    /// Adds the change to the elements from `start` on.
    fn add(&self, start: usize, out: &mut [f32]) {
        if let Some(delta) = &self.delta {
            delta.add_to(start, self.scale, out);
        }
    }
}
