//! Times of dispatches, by the GPU's own timestamps.

use super::Program;
use super::commands::BoundCommand;
use crate::error::{Error, ErrorKind, Result};
use std::time::Duration;

/// The time of one dispatch.
#[derive(Clone, Copy, Debug)]
pub struct DispatchTime {
    /// The position in [`Plan::commands`](crate::graph::Plan::commands).
    pub index: usize,
    /// The time between its two timestamps.
    pub time: Duration,
}

impl Program {
    /// Runs every command, each dispatch in a pass of its own between two timestamps.
    ///
    /// # Errors
    /// `Unsupported` if the device has no timestamps; `Device` if the GPU failed.
    pub async fn time_dispatches(&self) -> Result<Vec<DispatchTime>> {
        let gpu = self.gpu();
        if !gpu.has_timestamps() {
            let message = format!("{} cannot time dispatches", gpu.summary().name);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let period = f64::from(gpu.queue.get_timestamp_period());
        let mut times = Vec::with_capacity(self.commands().len());
        for range in self.submissions() {
            let ticks = self.time_piece(&self.commands()[range.clone()]).await?;
            let timed = range.filter(|i| matches!(self.commands()[*i], BoundCommand::Dispatch(_)));
            times.extend(timed.zip(ticks.chunks_exact(2)).map(|(index, pair)| DispatchTime {
                index,
                time: Duration::from_nanos(
                    (pair[1].saturating_sub(pair[0]) as f64 * period) as u64,
                ),
            }));
        }
        Ok(times)
    }

    /// Two timestamps for each dispatch among the commands.
    async fn time_piece(&self, commands: &[BoundCommand]) -> Result<Vec<u64>> {
        let gpu = self.gpu();
        let what = "timing dispatches failed";
        let (staging, encoded) = gpu.guarded(what, || self.encode_timed(commands)).await?;
        gpu.submit("timed commands", encoded);
        Ok(bytemuck::pod_collect_to_vec(&gpu.mapped(&staging, what).await?))
    }

    /// Encodes commands with two timestamps for each dispatch, which are copied into the buffer.
    fn encode_timed(&self, commands: &[BoundCommand]) -> (wgpu::Buffer, wgpu::CommandBuffer) {
        let gpu = self.gpu();
        // A piece of copies only has no timestamps, but a query set needs one.
        let count = commands.len() as u32 * 2;
        let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("timing"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        let size = u64::from(count) * 8;
        let new = |usage| {
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timing"),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let resolved = new(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
        let staging = new(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut index = 0;
        for command in commands {
            let dispatch = match command {
                BoundCommand::Dispatch(dispatch) => dispatch,
                BoundCommand::Copy(copy) => {
                    copy.encode(&mut encoder);
                    continue;
                }
            };
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(index),
                    end_of_pass_write_index: Some(index + 1),
                }),
            });
            dispatch.encode(&mut pass);
            index += 2;
        }
        if index > 0 {
            encoder.resolve_query_set(&queries, 0..index, &resolved, 0);
        }
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, size);
        (staging, encoder.finish())
    }
}
