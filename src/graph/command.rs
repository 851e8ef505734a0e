//! The commands of a plan, as plain data for an executor.

use crate::kernels::{Launch, Shader};
use crate::shape::TensorType;

/// One piece of work for the GPU.
// A plan has hundreds of dispatches and two copies: a box would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Command {
    /// Runs a kernel.
    Dispatch(Dispatch),
    /// Copies between buffers.
    Copy(Copy),
}

/// A copy from one buffer to the start of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The buffer that is read.
    pub from: BufferId,
    /// Where in it the copy begins, in bytes.
    pub offset: u64,
    /// The buffer that is written.
    pub to: BufferId,
    /// How many bytes.
    pub bytes: u64,
    /// The item of the source's outermost axis at `offset`.
    pub first_item: usize,
    /// The tensor that is written.
    pub tensor: TensorType,
}

/// A launch of a kernel on buffers.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The path of the layer in the model.
    pub path: String,
    /// The kernel.
    pub shader: &'static Shader,
    /// The variant, its constants and workgroups.
    pub launch: Launch,
    /// The offset of its parameters in [`Plan::params`](super::Plan::params).
    pub params_offset: usize,
    /// The operands in the order of the bindings; the result is last.
    pub operands: Vec<Option<Operand>>,
    /// The result.
    pub output: TensorType,
    /// Bytes read and written, counting each operand once.
    pub bytes: u64,
    /// Bytes of the intermediate tensors that are in memory while it runs.
    pub live_bytes: u64,
}

/// A range at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The buffer.
    pub buffer: BufferId,
    /// The length in bytes.
    pub bytes: u64,
}

/// A buffer of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BufferId {
    /// A position in [`Plan::weights`](super::Plan::weights).
    Weight(usize),
    /// A position in [`Plan::inputs`](super::Plan::inputs).
    Input(usize),
    /// A position in [`Plan::outputs`](super::Plan::outputs).
    Output(usize),
    /// A position in [`Plan::slots`](super::Plan::slots).
    Slot(usize),
}
