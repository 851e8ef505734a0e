//! A component's weights in GPU memory.

use super::Gpu;
use crate::error::Result;
use crate::graph::WeightUse;
use crate::weights::Weights;
use std::collections::HashMap;

/// How many bytes may wait in staging memory before the upload waits for the GPU.
const STAGING_BYTES: u64 = 64 << 20;

/// Weights in GPU memory by name, in the layout the kernels read.
#[derive(Default)]
pub struct GpuWeights {
    buffers: HashMap<String, wgpu::Buffer>,
    bytes: u64,
}

impl GpuWeights {
    /// Uploads what is not there yet, tensor by tensor: host memory holds one at a time.
    ///
    /// # Errors
    /// `Weights` if a value is not finite or does not fit the storage type; `Memory` if the GPU
    /// lacks it; `Device` if the GPU failed.
    pub async fn upload(
        &mut self,
        gpu: &Gpu,
        weights: &Weights,
        wanted: &[WeightUse],
    ) -> Result<()> {
        let mut waiting = 0;
        for weight in wanted {
            if self.buffers.contains_key(&weight.name) {
                continue;
            }
            let bytes = weights.pack(&weight.name, weight.packing, gpu.target().storage)?;
            let size = (bytes.len() as u64).next_multiple_of(16);
            let what = format!("{} cannot be uploaded", weight.name);
            let upload = || {
                let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(&weight.name),
                    size,
                    usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                });
                gpu.queue.write_buffer(&buffer, 0, &bytes);
                buffer
            };
            let buffer = gpu.guarded(&what, upload).await?;
            self.buffers.insert(weight.name.clone(), buffer);
            self.bytes += size;
            waiting += size;
            if waiting >= STAGING_BYTES {
                gpu.queue.submit([]);
                gpu.finished().await?;
                waiting = 0;
            }
        }
        gpu.queue.submit([]);
        gpu.finished().await
    }

    /// Bytes of GPU memory.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn buffer(&self, name: &str) -> Option<&wgpu::Buffer> {
        self.buffers.get(name)
    }
}
