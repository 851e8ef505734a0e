//! How long each dispatch takes on the GPU.

use super::Program;
use crate::error::{Error, ErrorKind, Result};
use std::time::Duration;

/// The time of one dispatch.
#[derive(Clone, Copy, Debug)]
pub struct DispatchTime {
    /// The position in the plan.
    pub index: usize,
    /// Time on the GPU.
    pub time: Duration,
}

impl Program {
    /// Runs every dispatch in a pass of its own between two timestamps.
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
        let mut times = Vec::with_capacity(self.steps().len());
        for range in self.submissions() {
            let ticks = self.time_piece(&self.steps()[range.clone()]).await?;
            times.extend(range.zip(ticks.chunks_exact(2)).map(|(index, pair)| DispatchTime {
                index,
                time: Duration::from_nanos(
                    (pair[1].saturating_sub(pair[0]) as f64 * period) as u64,
                ),
            }));
        }
        Ok(times)
    }

    async fn time_piece(&self, steps: &[super::program::Step]) -> Result<Vec<u64>> {
        let gpu = self.gpu();
        let count = steps.len() as u32 * 2;
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
        for (index, step) in steps.iter().enumerate() {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(index as u32 * 2),
                    end_of_pass_write_index: Some(index as u32 * 2 + 1),
                }),
            });
            step.encode(&mut pass);
        }
        encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, size);
        gpu.queue.submit([encoder.finish()]);
        Ok(bytemuck::pod_collect_to_vec(&gpu.mapped(&staging, "timestamps").await?))
    }
}
