//! Recordings: runs of a program as command buffers, encoded while the GPU does something else.

use super::Program;
use super::commands::{BoundCommand, encode, pieces};
use crate::kernels::DeviceClass;
use std::ops::Range;
use wgpu::CommandBuffer;

/// One run of a [`Program`], encoded and ready to be submitted once: every dispatch and copy of its
/// plan in order, in pieces short enough for the drivers' watchdogs.
#[must_use = "a recording does nothing until it is submitted"]
pub struct Recording {
    pieces: Vec<(Range<usize>, CommandBuffer)>,
}

impl Program {
    /// Encodes one run. Inputs are read when the recording runs, not now: those of the next run may
    /// still be written after it is recorded.
    pub fn record(&self) -> Recording {
        let encoded = |range: Range<usize>| {
            let mut encoder = self.gpu().device.create_command_encoder(&Default::default());
            encode(&self.commands()[range.clone()], &mut encoder);
            (range, encoder.finish())
        };
        let pieces = || self.submissions().into_iter().map(encoded).collect();
        Recording { pieces: self.gpu().watched(pieces) }
    }

    /// Submits a recording of this program and returns without waiting.
    pub fn submit(&self, recording: Recording) {
        for (range, commands) in recording.pieces {
            let (start, end) = (range.start, range.end);
            self.gpu().submit(format_args!("commands {start} to {end} of a program"), commands);
        }
    }

    /// Records one run and submits it, without waiting.
    pub fn run(&self) {
        self.submit(self.record());
    }

    /// The commands of each submission: none has more work than a watchdog allows.
    pub(super) fn submissions(&self) -> Vec<Range<usize>> {
        let budget = match self.plan().target.class {
            DeviceClass::Software => 300_000_000,
            DeviceClass::Adreno | DeviceClass::Mali => 20_000_000_000,
            DeviceClass::Portable | DeviceClass::Intel | DeviceClass::Apple => 100_000_000_000,
            DeviceClass::Nvidia | DeviceClass::Amd => 1_000_000_000_000,
        };
        let flops = |command: &BoundCommand| match command {
            BoundCommand::Dispatch(dispatch) => dispatch.flops,
            BoundCommand::Copy(_) => 0,
        };
        pieces(self.commands().iter().map(flops), budget)
    }
}
