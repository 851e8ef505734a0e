//! A dense tensor of f64 on the host: what the references compute with.

use crate::shape::Shape;

/// A tensor on the host, row-major, without padding.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// The dimensions.
    pub shape: Shape,
    /// The elements, innermost dimension contiguous.
    pub data: Vec<f64>,
}

impl HostTensor {
    /// A tensor filled with zeros.
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        HostTensor { shape, data: vec![0.0; shape.len()] }
    }

    /// Row `row` of the innermost dimension.
    pub fn row(&self, row: usize) -> &[f64] {
        let channels = self.shape.channels();
        &self.data[row * channels..][..channels]
    }

    /// Row `row` of the innermost dimension, to write.
    pub fn row_mut(&mut self, row: usize) -> &mut [f64] {
        let channels = self.shape.channels();
        &mut self.data[row * channels..][..channels]
    }
}
