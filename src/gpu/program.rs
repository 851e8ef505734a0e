//! Programs: plans on a device, with pipelines, buffers and bind groups that are made once.

use super::commands::{BoundCommand, BoundCopy, BoundDispatch};
use super::compile::CompiledKernel;
use super::{Gpu, GpuWeights};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{BufferId, Command, Copy, Dispatch, Operand, Plan, Port};
use crate::logging;
use crate::shape::{DType, Storage};
use std::sync::Arc;
use wgpu::{Buffer, BufferUsages};

/// The size of the buffer that is bound for operands that are absent.
const ABSENT_BYTES: u64 = 16;

/// A plan with its pipelines, buffers and bind groups on a device, which runs any number of times.
pub struct Program {
    gpu: Gpu,
    plan: Arc<Plan>,
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
    commands: Vec<BoundCommand>,
    bytes: u64,
}

/// Bytes of the buffers that a program of a plan allocates: inputs, outputs, slots and parameters.
/// Neither weights are counted nor the inputs that are `linked` to another program's outputs.
pub fn buffer_bytes(plan: &Plan, linked: impl Fn(&Port) -> bool) -> u64 {
    let inputs = plan.inputs.iter().filter(|port| !linked(port));
    let ports = inputs.chain(&plan.outputs).map(|port| port.tensor.bytes(plan.target.storage));
    let others = plan.slots.iter().copied().chain([ABSENT_BYTES, plan.params.len() as u64]);
    ports.chain(others).map(allocated).sum()
}

/// The size of the buffer for so many bytes.
fn allocated(bytes: u64) -> u64 {
    bytes.max(4).next_multiple_of(16)
}

/// An input of a program that is the output of another one: no copy is made.
pub struct Link<'p> {
    /// The program that computes it.
    pub from: &'p Program,
    /// The name of both the output and the input.
    pub name: String,
}

impl Program {
    /// Compiles the kernels, allocates the buffers and binds them. `links` are inputs that other
    /// programs compute. The plan may be shared with whoever keeps it. Kernels that the device has not
    /// compiled before are compiled on several threads at once, which end before this resolves;
    /// WebAssembly has none, and compiles them one after another.
    ///
    /// # Errors
    /// `Memory` if the GPU lacks it; `Device` if it refuses a kernel; `Weights` if one was not
    /// uploaded.
    pub async fn new(
        gpu: &Gpu,
        plan: impl Into<Arc<Plan>>,
        weights: &GpuWeights,
        links: &[Link<'_>],
    ) -> Result<Program> {
        let what = format!("{} refused the plan", gpu.summary().name);
        let plan = plan.into();
        let kernels = gpu.compile(&plan).await?;
        gpu.guarded(&what, || Program::build(gpu, plan, kernels, weights, links)).await?
    }

    fn build(
        gpu: &Gpu,
        plan: Arc<Plan>,
        kernels: Vec<Arc<CompiledKernel>>,
        weights: &GpuWeights,
        links: &[Link<'_>],
    ) -> Result<Program> {
        let storage = plan.target.storage;
        let new = |label: &str, bytes: u64, usage| {
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: allocated(bytes),
                usage,
                mapped_at_creation: false,
            })
        };
        let port = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
        let own = |ports: &Port| new(&ports.name, ports.tensor.bytes(storage), port);
        let linked = |port: &Port| {
            let link = links.iter().find(|link| link.name == port.name)?;
            let output = link.from.plan.output(&link.name)?;
            Some(link.from.outputs[output].clone())
        };
        let inputs: Vec<_> =
            plan.inputs.iter().map(|p| linked(p).unwrap_or_else(|| own(p))).collect();
        let bytes = buffer_bytes(&plan, |port| linked(port).is_some());
        let outputs: Vec<_> = plan.outputs.iter().map(own).collect();
        let slots: Vec<_> =
            plan.slots.iter().map(|&b| new("slot", b, BufferUsages::STORAGE)).collect();
        let absent = new("absent", ABSENT_BYTES, BufferUsages::STORAGE);
        let uniform = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let params = new("params", plan.params.len() as u64, uniform);
        gpu.queue.write_buffer(&params, 0, &plan.params);

        let buffer = |id: BufferId| -> Result<&Buffer> {
            Ok(match id {
                BufferId::Input(index) => &inputs[index],
                BufferId::Output(index) => &outputs[index],
                BufferId::Slot(index) => &slots[index],
                BufferId::Weight(index) => {
                    let weight = &plan.weights[index];
                    weights.buffer(weight).ok_or_else(|| {
                        let message = format!("{} was not uploaded", weight.name);
                        Error::new(ErrorKind::Weights, message)
                    })?
                }
            })
        };
        let bind = |dispatch: &Dispatch, kernel: Arc<CompiledKernel>| -> Result<BoundDispatch> {
            let mut entries =
                vec![entry(0, &params, dispatch.params_offset, dispatch.launch.params.len())];
            for (index, operand) in dispatch.operands.iter().enumerate() {
                let (buffer, bytes) = match operand {
                    Some(Operand { buffer: id, bytes }) => (buffer(*id)?, *bytes),
                    None => (&absent, ABSENT_BYTES),
                };
                entries.push(entry(1 + index as u32, buffer, 0, bytes as usize));
            }
            let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(dispatch.shader.name),
                layout: &kernel.layout,
                entries: &entries,
            });
            let (groups, flops) = (dispatch.launch.groups, dispatch.launch.flops);
            Ok(BoundDispatch { kernel, bindings, groups, flops })
        };
        let mut kernels = kernels.into_iter();
        let bound = |command: &Command| {
            Ok(match command {
                Command::Dispatch(dispatch) => {
                    let Some(kernel) = kernels.next() else {
                        unreachable!("every dispatch was compiled")
                    };
                    BoundCommand::Dispatch(bind(dispatch, kernel)?)
                }
                Command::Copy(Copy { from, offset, to, bytes, .. }) => {
                    let (from, to) = (buffer(*from)?.clone(), buffer(*to)?.clone());
                    BoundCommand::Copy(BoundCopy { from, offset: *offset, to, bytes: *bytes })
                }
            })
        };
        let commands = plan.commands.iter().map(bound).collect::<Result<Vec<_>>>()?;
        log::debug!(
            target: logging::PROGRAM,
            "program bound: {} commands, {bytes} bytes of buffers",
            commands.len()
        );
        Ok(Program { gpu: gpu.clone(), plan, inputs, outputs, commands, bytes })
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Writes an input from f32 values, row-major without padding; they are converted to its type.
    ///
    /// # Errors
    /// `Argument` if there is no such input or the number of values differs.
    pub fn write(&self, name: &str, values: &[f32]) -> Result<()> {
        let (port, buffer) = self.input(name)?;
        let shape = port.tensor.shape;
        if values.len() != shape.len() {
            let message =
                format!("input {name}: expected {} values, got {}", shape.len(), values.len());
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let mut padded = vec![0.0; shape.padded_len()];
        let rows = padded.chunks_exact_mut(shape.quads() * 4);
        for (row, source) in rows.zip(values.chunks_exact(shape.channels())) {
            row[..source.len()].copy_from_slice(source);
        }
        match (port.tensor.dtype, self.plan.target.storage) {
            (DType::Real, Storage::F16 | Storage::Packed) => {
                let halves: Vec<_> = padded.iter().map(|v| half::f16::from_f32(*v)).collect();
                self.gpu.write(buffer, bytemuck::cast_slice(&halves));
            }
            (DType::Real | DType::F32, _) => {
                self.gpu.write(buffer, bytemuck::cast_slice(&padded));
            }
            (DType::U32, _) => {
                let message = format!("input {name} holds integers");
                return Err(Error::new(ErrorKind::Argument, message));
            }
        }
        Ok(())
    }

    /// Bytes of GPU memory that it allocated, by [`buffer_bytes`].
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub(super) fn commands(&self) -> &[BoundCommand] {
        &self.commands
    }

    pub(super) fn output(&self, name: &str) -> Result<(&Port, &Buffer)> {
        let index = self.plan.output(name).ok_or_else(|| {
            Error::new(ErrorKind::Argument, format!("the plan has no output {name}"))
        })?;
        Ok((&self.plan.outputs[index], &self.outputs[index]))
    }

    fn input(&self, name: &str) -> Result<(&Port, &Buffer)> {
        let index = self.plan.input(name).ok_or_else(|| {
            Error::new(ErrorKind::Argument, format!("the plan has no input {name}"))
        })?;
        Ok((&self.plan.inputs[index], &self.inputs[index]))
    }
}

fn entry(binding: u32, buffer: &Buffer, offset: usize, bytes: usize) -> wgpu::BindGroupEntry<'_> {
    let size = std::num::NonZeroU64::new((bytes as u64).next_multiple_of(16));
    let range = wgpu::BufferBinding { buffer, offset: offset as u64, size };
    wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(range) }
}
