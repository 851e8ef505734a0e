//! Outputs of a program, read back to the host.

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
        self.read_items(name, 0, port.tensor.shape.items()).await
    }

    /// Reads `count` items of an output from item `first` of its outermost axis on, as f32, row-major
    /// without padding. Only their bytes leave the GPU.
    ///
    /// # Errors
    /// `Argument` if there is no such output or it has fewer items; `Device` if the GPU failed.
    pub async fn read_items(&self, name: &str, first: usize, count: usize) -> Result<Vec<f32>> {
        let (port, _) = self.output(name)?;
        let shape = port.tensor.shape;
        Ok(unpad(&self.read_padded(name, first, count).await?, shape))
    }

    /// Reads the padding of an output's rows as f32: zeros, if its kernel is right. For checks.
    ///
    /// # Errors
    /// As [`Program::read`].
    pub async fn read_padding(&self, name: &str) -> Result<Vec<f32>> {
        let (port, _) = self.output(name)?;
        let shape = port.tensor.shape;
        Ok(padding(&self.read_padded(name, 0, shape.items()).await?, shape))
    }

    /// Fills an output with NaN (integers with their largest value), so that what the next run
    /// does not write is seen. For checks.
    ///
    /// # Errors
    /// `Argument` if there is no such output.
    pub fn poison(&self, name: &str) -> Result<()> {
        let (_, buffer) = self.output(name)?;
        // All bits set is a NaN of either width.
        self.gpu().write(buffer, &vec![0xff; buffer.size() as usize]);
        Ok(())
    }

    /// Items of an output as f32, with the padding.
    async fn read_padded(&self, name: &str, first: usize, count: usize) -> Result<Vec<f32>> {
        let (port, _) = self.output(name)?;
        let dtype = port.tensor.dtype;
        let bytes = self.read_bytes(name, first, count).await?;
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
        let bytes = self.read_bytes(name, 0, shape.items()).await?;
        Ok(unpad(&bytemuck::pod_collect_to_vec::<u8, u32>(&bytes), shape))
    }

    async fn read_bytes(&self, name: &str, first: usize, count: usize) -> Result<Vec<u8>> {
        let gpu = self.gpu();
        let (port, buffer) = self.output(name)?;
        let items = port.tensor.shape.items();
        if first.checked_add(count).is_none_or(|end| end > items) {
            let message =
                format!("output {name}: expected {count} items from {first} on, got {items} items");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        // Rows are whole quads, so items begin and end at a multiple of four bytes.
        let item_bytes = port.tensor.bytes(self.plan().target.storage) / items.max(1) as u64;
        let (offset, size) = (item_bytes * first as u64, item_bytes * count as u64);
        if size == 0 {
            return Ok(Vec::new());
        }
        let copy = || {
            let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("readback"),
                size,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, size);
            (staging, encoder.finish())
        };
        let what = format!("reading {name} from the GPU failed");
        let (staging, commands) = gpu.guarded(&what, copy).await?;
        gpu.submit(format_args!("readback of {name}"), commands);
        gpu.mapped(&staging, &what).await
    }
}

impl Gpu {
    /// The bytes of a buffer that the host may map, once everything submitted before is done. Errors
    /// begin with `what`.
    pub(super) async fn mapped(&self, staging: &wgpu::Buffer, what: &str) -> Result<Vec<u8>> {
        let (sender, mapped) = completion(&self.device);
        let map = || {
            // Whoever waits may have given up.
            staging.map_async(wgpu::MapMode::Read, .., move |result| {
                let _ = sender.send(result);
            })
        };
        self.guarded(what, map).await?;
        let mapped = mapped.await?;
        self.check()?;
        let failed = |error: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Device, format!("{what}: {error}"))
        };
        mapped.map_err(|error| failed(&error))?;
        let view = staging.get_mapped_range(..).map_err(|error| failed(&error))?;
        Ok(view.to_vec())
    }

    /// Writes the first bytes of a buffer.
    pub(super) fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) {
        self.watched(|| self.queue.write_buffer(buffer, 0, bytes));
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
