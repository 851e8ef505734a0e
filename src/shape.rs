//! Shapes, element types and storage types of tensors.

use std::fmt;

/// The most dimensions a tensor has (`[N, H, W, C]`).
pub const MAX_RANK: usize = 4;

/// The dimensions of a tensor, outermost first. Activations are `[N, H, W, C]` or `[B, T, D]`,
/// which are the same memory when `T = H·W`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; MAX_RANK],
    rank: usize,
}

impl Shape {
    /// A shape of 1 to 4 dimensions.
    ///
    /// # Panics
    /// With no dimension or more than four: shapes are written by the crate, never read from input.
    pub fn new(dims: &[usize]) -> Self {
        assert!((1..=MAX_RANK).contains(&dims.len()), "a shape has 1 to 4 dimensions: {dims:?}");
        let mut all = [1; MAX_RANK];
        all[..dims.len()].copy_from_slice(dims);
        Shape { dims: all, rank: dims.len() }
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The innermost dimension: channels.
    pub fn channels(&self) -> usize {
        self.dims[self.rank - 1]
    }

    /// The number of rows of channels: the product of all dimensions but the innermost.
    pub fn rows(&self) -> usize {
        self.dims()[..self.rank - 1].iter().product()
    }

    /// The outermost dimension: the batch.
    pub fn batch(&self) -> usize {
        self.dims[0]
    }

    /// The number of items along the outermost axis, each of whole rows. A tensor of one dimension is
    /// one row and one item.
    pub fn items(&self) -> usize {
        if self.rank == 1 { 1 } else { self.dims[0] }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.dims().iter().product()
    }

    /// Whether some dimension is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same shape with another innermost dimension.
    pub fn with_channels(mut self, channels: usize) -> Self {
        self.dims[self.rank - 1] = channels;
        self
    }

    /// The number of groups of four (`vec4`) that a row of channels takes in memory. Rows are padded
    /// with zeros to a multiple of four elements, so that kernels load and store whole vectors.
    pub fn quads(&self) -> usize {
        self.channels().div_ceil(4)
    }

    /// The number of elements in memory, padding included.
    pub fn padded_len(&self) -> usize {
        self.rows() * self.quads() * 4
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

impl<const R: usize> From<[usize; R]> for Shape {
    fn from(dims: [usize; R]) -> Self {
        Shape::new(&dims)
    }
}

/// The element type of a tensor in a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// A real number: of activations in the plan's [`Storage`] type, of weights in their own formats.
    Real,
    /// Always 32-bit float: latents, timesteps, statistics.
    F32,
    /// 32-bit unsigned integer: packed pixels.
    U32,
}

/// The storage type of activations in GPU memory. Arithmetic is f32 in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// 16-bit floats in native registers (needs the `shader-f16` feature).
    F16,
    /// Pairs of 16-bit floats in a `u32`, for GPUs whose driver lacks `shader-f16`.
    Packed,
    /// 32-bit floats.
    F32,
}

impl Storage {
    /// Every storage type, fastest first.
    pub const ALL: [Storage; 3] = [Storage::F16, Storage::Packed, Storage::F32];

    /// The name used on the command line: `f16`, `packed` or `f32`.
    pub fn name(self) -> &'static str {
        match self {
            Storage::F16 => "f16",
            Storage::Packed => "packed",
            Storage::F32 => "f32",
        }
    }

    /// Bytes of one element.
    pub fn element_bytes(self) -> usize {
        match self {
            Storage::F16 | Storage::Packed => 2,
            Storage::F32 => 4,
        }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DType {
    /// Bytes of one element under a storage type.
    pub fn element_bytes(self, storage: Storage) -> usize {
        match self {
            DType::Real => storage.element_bytes(),
            DType::F32 | DType::U32 => 4,
        }
    }
}

/// The shape and element type of a tensor, the operand of shape rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// The dimensions.
    pub shape: Shape,
    /// The element type.
    pub dtype: DType,
}

impl TensorType {
    /// A tensor of [`DType::Real`].
    pub fn real(shape: impl Into<Shape>) -> Self {
        TensorType { shape: shape.into(), dtype: DType::Real }
    }

    /// A tensor of [`DType::F32`].
    pub fn f32(shape: impl Into<Shape>) -> Self {
        TensorType { shape: shape.into(), dtype: DType::F32 }
    }

    /// A tensor of [`DType::U32`].
    pub fn u32(shape: impl Into<Shape>) -> Self {
        TensorType { shape: shape.into(), dtype: DType::U32 }
    }

    /// Bytes in GPU memory, padding of the channel axis included.
    pub fn bytes(&self, storage: Storage) -> u64 {
        (self.shape.padded_len() * self.dtype.element_bytes(storage)) as u64
    }
}
