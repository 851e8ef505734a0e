//! Weights as a plan reads them.

use crate::error::Result;
use crate::shape::Shape;
use crate::weights::{Part, WeightFormat, WeightLayout, packed_len};

/// A weight that a plan reads, in one layout and format. Two dispatches that read a weight in
/// different layouts or formats are two uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightUse {
    /// The name in the file.
    pub name: String,
    /// The layout in GPU memory.
    pub layout: WeightLayout,
    /// The format in GPU memory.
    pub format: WeightFormat,
    /// The shape in the file.
    pub shape: Shape,
    bytes: u64,
}

/// The identity of a weight in GPU memory: name, layout and format.
pub type WeightKey<'a> = (&'a str, WeightLayout, WeightFormat);

impl WeightUse {
    /// The use of a weight of the file's shape.
    ///
    /// # Errors
    /// `Weights` if the layout does not apply to the shape.
    pub fn new(
        name: impl Into<String>,
        layout: WeightLayout,
        format: WeightFormat,
        shape: impl Into<Shape>,
    ) -> Result<WeightUse> {
        let (name, shape) = (name.into(), shape.into());
        let elements = packed_len(shape.dims(), layout);
        let bytes = format.bytes(elements.map_err(|error| error.context(&name))?) as u64;
        Ok(WeightUse { name, layout, format, shape, bytes })
    }

    /// Bytes in GPU memory, padding of the layout included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The weight in parts of at most `most_bytes`.
    pub fn parts(&self, most_bytes: u64) -> Vec<Part> {
        // The shape was checked when this was made.
        let most_bytes = usize::try_from(most_bytes).unwrap_or(usize::MAX);
        Part::split(self.shape.dims(), self.layout, self.format, most_bytes).unwrap_or_default()
    }

    /// Name, layout and format; uses with equal keys share a buffer.
    pub fn key(&self) -> WeightKey<'_> {
        (&self.name, self.layout, self.format)
    }
}
