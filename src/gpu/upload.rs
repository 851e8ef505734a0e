//! A component's weights in GPU memory.

use super::Gpu;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::WeightUse;
use crate::weights::{Part, WeightFormat, WeightLayout, Weights};
use std::collections::HashMap;
use std::ops::Range;

/// The staging memory that may fill before the upload waits for the GPU, in bytes. A larger tensor is
/// uploaded in parts.
pub const STAGING_BYTES: u64 = 8 << 20;

/// The most staging memory at once while these weights are uploaded in this order.
pub fn staging_bytes<'w>(weights: impl IntoIterator<Item = &'w WeightUse>) -> u64 {
    let (mut waiting, mut most) = (Waiting(0), 0);
    for part in weights.into_iter().flat_map(|weight| weight.parts(STAGING_BYTES)) {
        waiting.add(part.bytes() as u64);
        most = waiting.0.max(most);
    }
    most
}

/// The bytes of staging memory that the GPU has not copied yet.
struct Waiting(u64);

impl Waiting {
    /// Counts a part; true if the GPU must copy all that waits before.
    fn add(&mut self, bytes: u64) -> bool {
        let full = self.0 > 0 && self.0 + bytes > STAGING_BYTES;
        self.0 = if full { bytes } else { self.0 + bytes };
        full
    }
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
    /// its file directly into the staging memory that the GPU copies from, at most
    /// [`STAGING_BYTES`] at once.
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
        let mut waiting = Waiting(0);
        for weight in wanted {
            if self.buffers.contains_key(&key(weight)) {
                continue;
            }
            check_shape(weights, weight)?;
            let size = weight.bytes().next_multiple_of(16);
            let what = format!("{} cannot be uploaded", weight.name);
            let create = || {
                gpu.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(&weight.name),
                    size,
                    usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            };
            let buffer = gpu.guarded(&what, create).await?;
            for part in weight.parts(STAGING_BYTES) {
                if waiting.add(part.bytes() as u64) {
                    gpu.flush();
                    gpu.finished().await?;
                }
                gpu.guarded(&what, || write(gpu, weights, weight, &part, &buffer)).await??;
            }
            self.buffers.insert(key(weight), buffer);
            self.bytes += size;
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

fn check_shape(weights: &Weights, weight: &WeightUse) -> Result<()> {
    match weights.shape(&weight.name) {
        Some(shape) if shape != weight.shape.dims() => {
            let (name, planned) = (&weight.name, weight.shape);
            let message = format!("{name}: expected a weight of shape {planned}, got {shape:?}");
            Err(Error::new(ErrorKind::Weights, message))
        }
        _ => Ok(()),
    }
}

/// Writes a part of a weight through staging memory. wgpu clears the bytes after the last part.
fn write(
    gpu: &Gpu,
    weights: &Weights,
    weight: &WeightUse,
    part: &Part,
    buffer: &wgpu::Buffer,
) -> Result<()> {
    let view = |range: Range<usize>| {
        let size = wgpu::BufferSize::new(range.len() as u64)?;
        gpu.queue.write_buffer_with(buffer, range.start as u64, size)
    };
    // There is no view where an allocation failed, which `guarded` reports.
    let Some(mut views) = part.ranges().map(view).collect::<Option<Vec<_>>>() else {
        return Ok(());
    };
    let put = |tap: usize, start: usize, run: &[u8]| {
        views[tap].slice(start..start + run.len()).copy_from_slice(run);
    };
    weights.pack_part(&weight.name, weight.layout, weight.format, part, put)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    #[test]
    fn staging_memory_is_bounded_whatever_the_weights() {
        let weights = |rows: &[usize]| -> Vec<WeightUse> {
            let matrix = |(at, rows): (usize, &usize)| {
                let name = format!("w{at}");
                let shape = Shape::new(&[1 << 10, rows << 8]);
                WeightUse::new(name, WeightLayout::Matrix, WeightFormat::F32, shape).unwrap()
            };
            rows.iter().enumerate().map(matrix).collect()
        };
        // Matrices of so many MiB.
        let table: [(&[usize], u64); 6] = [
            (&[], 0),
            (&[1, 2, 3], 6),
            (&[1, 2, 6, 2], 8),
            (&[5, 5, 5], 5),
            (&[100, 1], 8),
            (&[200], 8),
        ];
        for (sizes, expected) in table {
            assert_eq!(staging_bytes(&weights(sizes)) >> 20, expected, "{sizes:?}");
        }
    }
}
