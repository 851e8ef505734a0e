//! A component's weights in GPU memory.

use super::Gpu;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::WeightUse;
use crate::weights::{WeightFormat, WeightLayout, Weights};
use std::collections::HashMap;

/// The staging memory that may fill before the upload waits for the GPU, in bytes; a larger tensor is
/// uploaded alone.
const STAGING_BYTES: u64 = 64 << 20;

/// The most staging memory at once while buffers of these sizes are uploaded in this order.
pub fn staging_bytes(sizes: impl IntoIterator<Item = u64>) -> u64 {
    let (mut waiting, mut most) = (0, 0);
    for size in sizes {
        waiting = if waiting + size > STAGING_BYTES { size } else { waiting + size };
        most = waiting.max(most);
    }
    most
}

/// Weights in GPU memory, by name, layout and format.
#[derive(Default)]
pub struct GpuWeights {
    buffers: HashMap<Key, wgpu::Buffer>,
    bytes: u64,
}

/// An owned [`WeightKey`](crate::graph::WeightKey).
type Key = (String, WeightLayout, WeightFormat);

fn key(weight: &WeightUse) -> Key {
    (weight.name.clone(), weight.layout, weight.format)
}

impl GpuWeights {
    /// Uploads the weights that are not in GPU memory yet, tensor by tensor. Each is converted from
    /// its file directly into the staging memory that the GPU copies from, at most 64 MiB or one
    /// larger tensor at once (see [`staging_bytes`]).
    ///
    /// # Errors
    /// `Weights` if a weight is not of the planned shape, or a value is not finite or does not fit
    /// the format; `Memory` if the GPU lacks it; `Device` if the GPU failed.
    pub async fn upload(
        &mut self,
        gpu: &Gpu,
        weights: &Weights,
        wanted: &[WeightUse],
    ) -> Result<()> {
        let mut waiting = 0;
        for weight in wanted {
            if self.buffers.contains_key(&key(weight)) {
                continue;
            }
            let size = weight.bytes().next_multiple_of(16);
            if waiting + size > STAGING_BYTES && waiting > 0 {
                gpu.flush();
                gpu.finished().await?;
                waiting = 0;
            }
            let what = format!("{} cannot be uploaded", weight.name);
            let upload = || -> Result<wgpu::Buffer> {
                let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(&weight.name),
                    size,
                    usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                });
                // There is no view where the allocation failed, which `guarded` reports.
                if let Some(size) = wgpu::BufferSize::new(size)
                    && let Some(mut view) = gpu.queue.write_buffer_with(&buffer, 0, size)
                {
                    put(weights, weight, &mut view)?;
                }
                Ok(buffer)
            };
            let buffer = gpu.guarded(&what, upload).await??;
            self.buffers.insert(key(weight), buffer);
            self.bytes += size;
            waiting += size;
        }
        gpu.flush();
        gpu.finished().await
    }

    /// Bytes of GPU memory.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The buffer of a weight.
    pub(super) fn buffer(&self, weight: &WeightUse) -> Option<&wgpu::Buffer> {
        self.buffers.get(&key(weight))
    }
}

/// Writes a weight and zeros up to the end of its buffer.
fn put(weights: &Weights, weight: &WeightUse, view: &mut wgpu::QueueWriteBufferView) -> Result<()> {
    let (packed, size) = (weight.bytes() as usize, view.len());
    if let Some(shape) = weights.shape(&weight.name)
        && shape != weight.shape.dims()
    {
        let (name, planned) = (&weight.name, weight.shape);
        let message = format!("{name}: expected a weight of shape {planned}, got {shape:?}");
        return Err(Error::new(ErrorKind::Weights, message));
    }
    let put = |start: usize, run: &[u8]| view.slice(start..start + run.len()).copy_from_slice(run);
    weights.pack_into(&weight.name, weight.layout, weight.format, put)?;
    view.slice(packed..size).fill(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_memory_is_bounded_by_a_tensor_or_64_mib() {
        let mib = |sizes: &[u64]| staging_bytes(sizes.iter().map(|size| size << 20)) >> 20;
        let table: [(&[u64], u64); 5] = [
            (&[], 0),
            (&[10, 20, 30], 60),
            (&[10, 20, 40, 20], 60),
            (&[60, 5, 59], 64),
            (&[10, 200, 60], 200),
        ];
        for (sizes, expected) in table {
            assert_eq!(mib(sizes), expected, "{sizes:?}");
        }
    }
}
