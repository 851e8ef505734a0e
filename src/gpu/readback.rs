//! Results back on the host.

use super::completion::completion;
use super::{Gpu, Program};
use crate::error::{Error, ErrorKind, Result};
use crate::shape::{DType, Shape, Storage};

impl Program {
    /// Reads an output as f32, row-major without padding.
    ///
    /// # Errors
    /// `Argument` if there is no such output; `Device` if the GPU failed.
    pub async fn read(&self, name: &str) -> Result<Vec<f32>> {
        let (port, _) = self.output(name)?;
        Ok(unpad(&self.read_padded(name).await?, port.tensor.shape))
    }

    /// Reads the padding of an output's rows as f32: zeros, if its kernel is right. For checks.
    ///
    /// # Errors
    /// As [`Program::read`].
    pub async fn read_padding(&self, name: &str) -> Result<Vec<f32>> {
        let (port, _) = self.output(name)?;
        Ok(padding(&self.read_padded(name).await?, port.tensor.shape))
    }

    /// Fills an output with NaN (integers with their largest value), so that what the next run
    /// does not write is seen. For checks.
    ///
    /// # Errors
    /// `Argument` if there is no such output.
    pub fn poison(&self, name: &str) -> Result<()> {
        let (_, buffer) = self.output(name)?;
        // All bits set is a NaN of either width.
        self.gpu().queue.write_buffer(buffer, 0, &vec![0xff; buffer.size() as usize]);
        Ok(())
    }

    /// An output as f32, with the padding.
    async fn read_padded(&self, name: &str) -> Result<Vec<f32>> {
        let (port, _) = self.output(name)?;
        let dtype = port.tensor.dtype;
        let bytes = self.read_bytes(name).await?;
        Ok(match (dtype, self.plan().target.storage) {
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
        })
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
        gpu.mapped(&staging, name).await
    }
}

impl Gpu {
    /// The bytes of a buffer that the host may map, once everything submitted before is done;
    /// `what` names them in messages.
    pub(super) async fn mapped(&self, staging: &wgpu::Buffer, what: &str) -> Result<Vec<u8>> {
        let (sender, mapped) = completion(&self.device);
        staging.map_async(wgpu::MapMode::Read, .., move |result| sender.send(result));
        let failed = |error: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Device, format!("reading {what} from the GPU failed: {error}"))
        };
        mapped.await?.map_err(|error| failed(&error))?;
        self.failure.check()?;
        let view = staging.get_mapped_range(..).map_err(|error| failed(&error))?;
        Ok(view.to_vec())
    }
}

/// The elements without the padding of the rows.
fn unpad<T: Copy>(padded: &[T], shape: Shape) -> Vec<T> {
    let rows = padded.chunks_exact(shape.quads() * 4);
    rows.flat_map(|row| &row[..shape.channels()]).copied().collect()
}

/// The padding of the rows without the elements.
fn padding<T: Copy>(padded: &[T], shape: Shape) -> Vec<T> {
    let rows = padded.chunks_exact(shape.quads() * 4);
    rows.flat_map(|row| &row[shape.channels()..]).copied().collect()
}
