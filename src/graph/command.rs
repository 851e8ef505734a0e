//! The commands of a plan, as plain data for an executor.

use super::plan::{BufferId, Dispatch, Plan};
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

impl Plan {
    /// The dispatches, in order.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> + Clone {
        self.commands.iter().filter_map(|command| match command {
            Command::Dispatch(dispatch) => Some(dispatch),
            Command::Copy(_) => None,
        })
    }

    /// The dispatches, in order, to alter them: for checks that a wrong kernel is noticed.
    pub fn dispatches_mut(&mut self) -> impl Iterator<Item = &mut Dispatch> {
        self.commands.iter_mut().filter_map(|command| match command {
            Command::Dispatch(dispatch) => Some(dispatch),
            Command::Copy(_) => None,
        })
    }

    /// Bytes that all commands read and write when each operand is read once.
    pub fn moved_bytes(&self) -> u64 {
        let moved = self.commands.iter().map(|command| match command {
            Command::Dispatch(dispatch) => dispatch.bytes,
            Command::Copy(copy) => 2 * copy.bytes,
        });
        moved.sum()
    }
}
