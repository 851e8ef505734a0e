//! Parts of a weight in GPU memory, so that a large one is converted and uploaded piece by piece.

use std::ops::Range;

use super::format::WeightFormat;
use super::layout::{Axes, WeightLayout};
use crate::error::Result;

/// Where a part ends if there is more to come: whole tiles of the conversion, and whole blocks of
/// quantised weights.
const INPUTS: usize = 256;

/// Some of the inputs of a weight with all their outputs: in every tap one run of consecutive bytes.
/// The file's numbers of a part are read once, whatever the layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The inputs, rows of padding included.
    pub(super) inputs: Range<usize>,
    taps: usize,
    tap_bytes: usize,
    row_bytes: usize,
}

impl Part {
    /// The whole weight.
    pub(super) fn whole(axes: &Axes, format: WeightFormat) -> Part {
        let row_bytes = format.bytes(axes.row_len);
        let (taps, tap_bytes) = (axes.taps, axes.rows * row_bytes);
        Part { inputs: 0..axes.rows, taps, tap_bytes, row_bytes }
    }

    /// A weight in parts of at most `most_bytes`, or of the fewest inputs that are converted at once
    /// where those take more.
    ///
    /// # Errors
    /// `Weights` if the layout does not apply to the shape.
    pub fn split(
        file_shape: &[usize],
        layout: WeightLayout,
        format: WeightFormat,
        most_bytes: usize,
    ) -> Result<Vec<Part>> {
        let axes = Axes::new(file_shape, layout)?;
        let whole = Part::whole(&axes, format);
        if whole.bytes() <= most_bytes {
            return Ok(vec![whole]);
        }
        let fitting = most_bytes / (whole.taps * whole.row_bytes);
        let step = [INPUTS, 64, 4].into_iter().find(|step| fitting >= *step).unwrap_or(1);
        let step = (fitting / step * step).max(1);
        let end = |start: usize| axes.rows.min(start + step);
        let parts = (0..axes.rows).step_by(step);
        Ok(parts.map(|start| Part { inputs: start..end(start), ..whole.clone() }).collect())
    }

    /// Its bytes in all taps.
    pub fn bytes(&self) -> usize {
        self.taps * self.inputs.len() * self.row_bytes
    }

    /// Its bytes in the packed weight: a range for every tap.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let within = self.inputs.start * self.row_bytes..self.inputs.end * self.row_bytes;
        (0..self.taps).map(move |tap| {
            let start = tap * self.tap_bytes;
            start + within.start..start + within.end
        })
    }
}
