//! Results back on the host.

use super::Program;
use super::completion::completion;
use crate::error::{Error, ErrorKind, Result};
use crate::shape::{DType, Shape, Storage};

impl Program {
    /// Reads an output as f32, row-major without padding.
    ///
    /// # Errors
    /// `Argument` if there is no such output; `Device` if the GPU failed.
    pub async fn read(&self, name: &str) -> Result<Vec<f32>> {
        let (port, _) = self.output(name)?;
        let (shape, dtype) = (port.tensor.shape, port.tensor.dtype);
        let bytes = self.read_bytes(name).await?;
        let values: Vec<f32> = match (dtype, self.plan().target.storage) {
            (DType::Real, Storage::F16 | Storage::Packed) => {
                bytemuck::pod_collect_to_vec::<u8, half::f16>(&bytes)
                    .iter()
                    .map(|v| v.to_f32())
                    .collect()
            }
            (DType::Real | DType::F32, _) => bytemuck::pod_collect_to_vec(&bytes),
            (DType::U32, _) => {
                bytemuck::pod_collect_to_vec::<u8, u32>(&bytes).iter().map(|v| *v as f32).collect()
            }
        };
        Ok(unpad(&values, shape))
    }

    /// Reads an output of integers, row-major without padding.
    ///
    /// # Errors
    /// As [`Program::read`].
    pub async fn read_u32(&self, name: &str) -> Result<Vec<u32>> {
        let (port, _) = self.output(name)?;
        let shape = port.tensor.shape;
        let bytes = self.read_bytes(name).await?;
        Ok(unpad(&bytemuck::pod_collect_to_vec::<u8, u32>(&bytes), shape))
    }

    async fn read_bytes(&self, name: &str) -> Result<Vec<u8>> {
        let gpu = self.gpu();
        let (port, buffer) = self.output(name)?;
        let size = port.tensor.bytes(self.plan().target.storage).next_multiple_of(4);
        let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, size);
        gpu.queue.submit([encoder.finish()]);
        let (sender, mapped) = completion(&gpu.device);
        staging.map_async(wgpu::MapMode::Read, .., move |result| sender.send(result));
        let failed = |error: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Device, format!("reading {name} from the GPU failed: {error}"))
        };
        mapped.await.map_err(|error| failed(&error))?;
        let view = staging.get_mapped_range(..).map_err(|error| failed(&error))?;
        Ok(view.to_vec())
    }
}

/// The elements without the padding of the rows.
fn unpad<T: Copy>(padded: &[T], shape: Shape) -> Vec<T> {
    let rows = padded.chunks_exact(shape.quads() * 4);
    rows.flat_map(|row| &row[..shape.channels()]).copied().collect()
}
