//! The commands of a plan with their GPU objects, and how they are encoded.

use super::compile::CompiledKernel;
use std::ops::Range;
use std::sync::Arc;
use wgpu::{BindGroup, Buffer, CommandEncoder, ComputePass};

/// The most commands in one submission: drivers on phones give up on longer ones.
const MAX_COMMANDS: usize = 64;

/// A command with everything bound.
pub(super) enum BoundCommand {
    Dispatch(BoundDispatch),
    Copy(BoundCopy),
}

/// A dispatch with its pipeline and bind group.
pub(super) struct BoundDispatch {
    pub kernel: Arc<CompiledKernel>,
    pub bindings: BindGroup,
    pub groups: [u32; 3],
    pub flops: u64,
}

/// A copy with its buffers.
pub(super) struct BoundCopy {
    pub from: Buffer,
    /// Where in `from` the copy begins, in bytes.
    pub offset: u64,
    pub to: Buffer,
    pub bytes: u64,
}

impl BoundDispatch {
    pub(super) fn encode(&self, pass: &mut ComputePass<'_>) {
        let [x, y, z] = self.groups;
        pass.set_pipeline(&self.kernel.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

impl BoundCopy {
    pub(super) fn encode(&self, encoder: &mut CommandEncoder) {
        encoder.copy_buffer_to_buffer(&self.from, self.offset, &self.to, 0, self.bytes);
    }
}

/// Encodes commands in order; dispatches that follow each other share a compute pass.
pub(super) fn encode(commands: &[BoundCommand], encoder: &mut CommandEncoder) {
    let mut pass: Option<ComputePass<'static>> = None;
    for command in commands {
        match command {
            BoundCommand::Dispatch(dispatch) => {
                let begin = || encoder.begin_compute_pass(&Default::default()).forget_lifetime();
                dispatch.encode(pass.get_or_insert_with(begin));
            }
            BoundCommand::Copy(copy) => {
                // A pass must end before the encoder takes other commands.
                drop(pass.take());
                copy.encode(encoder);
            }
        }
    }
}

/// Cuts commands of so many FLOPs into pieces for one submission each: at most [`MAX_COMMANDS`]
/// commands, and no more once a piece has reached `budget` FLOPs.
pub(super) fn pieces(flops: impl IntoIterator<Item = u64>, budget: u64) -> Vec<Range<usize>> {
    let (mut pieces, mut start, mut end, mut work) = (Vec::new(), 0, 0, 0u64);
    for flops in flops {
        end += 1;
        work = work.saturating_add(flops);
        if end - start == MAX_COMMANDS || work >= budget {
            pieces.push(start..end);
            (start, work) = (end, 0);
        }
    }
    if start < end {
        pieces.push(start..end);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_bounded_by_count_and_by_work() {
        assert!(pieces([], 10).is_empty());
        assert_eq!(pieces([3, 3, 3, 3, 3], 6), [0..2, 2..4, 4..5]);
        assert_eq!(pieces([100, 0, 0], 6), [0..1, 1..3]);
        assert_eq!(pieces([u64::MAX, u64::MAX], u64::MAX), [0..1, 1..2]);
        assert_eq!(pieces([0; 130], 6), [0..64, 64..128, 128..130]);
    }
}
