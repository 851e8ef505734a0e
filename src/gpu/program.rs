//! A plan on a device: pipelines, buffers and bind groups made once, encoded as often as wanted.

use super::compile::Kernel;
use super::{Gpu, GpuWeights};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{BufferId, Dispatch, Operand, Plan, Port};
use crate::kernels::DeviceClass;
use crate::shape::{DType, Storage};
use std::ops::Range;
use std::sync::Arc;
use wgpu::{BindGroup, Buffer, BufferUsages};

/// The most dispatches in one submission: drivers on phones give up on longer ones.
const MAX_DISPATCHES: usize = 64;

/// What is bound where an operand is absent.
const ABSENT_BYTES: u64 = 16;

/// A plan ready to run.
pub struct Program {
    gpu: Gpu,
    plan: Plan,
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
    steps: Vec<Step>,
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

/// A dispatch with everything bound.
pub(super) struct Step {
    pub kernel: Arc<Kernel>,
    pub bindings: BindGroup,
    pub groups: [u32; 3],
    pub flops: u64,
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
    /// programs compute.
    ///
    /// # Errors
    /// `Memory` if the GPU lacks it; `Device` if it refuses a kernel; `Weights` if one was not
    /// uploaded.
    pub async fn new(
        gpu: &Gpu,
        plan: Plan,
        weights: &GpuWeights,
        links: &[Link<'_>],
    ) -> Result<Program> {
        let what = format!("{} refused the plan", gpu.summary().name);
        gpu.guarded(&what, || Program::build(gpu, plan, weights, links)).await?
    }

    fn build(gpu: &Gpu, plan: Plan, weights: &GpuWeights, links: &[Link<'_>]) -> Result<Program> {
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

        let buffer = |operand: Option<Operand>| -> Result<(&Buffer, u64)> {
            let Some(Operand { buffer, bytes }) = operand else {
                return Ok((&absent, ABSENT_BYTES));
            };
            let buffer = match buffer {
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
            };
            Ok((buffer, bytes))
        };
        let bind = |dispatch: &Dispatch| -> Result<Step> {
            let kernel = gpu.pipelines.get(dispatch, storage);
            let mut entries =
                vec![entry(0, &params, dispatch.params_offset, dispatch.launch.params.len())];
            for (index, operand) in dispatch.operands.iter().enumerate() {
                let (buffer, bytes) = buffer(*operand)?;
                entries.push(entry(1 + index as u32, buffer, 0, bytes as usize));
            }
            let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(dispatch.shader.name),
                layout: &kernel.layout,
                entries: &entries,
            });
            let (groups, flops) = (dispatch.launch.groups, dispatch.launch.flops);
            Ok(Step { kernel, bindings, groups, flops })
        };
        let steps = plan.dispatches.iter().map(bind).collect::<Result<Vec<_>>>()?;
        Ok(Program { gpu: gpu.clone(), plan, inputs, outputs, steps, bytes })
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
                self.gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&halves));
            }
            (DType::Real | DType::F32, _) => {
                self.gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&padded));
            }
            (DType::U32, _) => {
                let message = format!("input {name} holds integers");
                return Err(Error::new(ErrorKind::Argument, message));
            }
        }
        Ok(())
    }

    /// Copies items of an output, from item `first` of its outermost axis on, over an input of the
    /// same program: how a step hands its state to the next.
    ///
    /// # Errors
    /// `Argument` if there is no such input or output, or the output has too few items.
    pub fn copy_back(&self, output: &str, first: usize, input: &str) -> Result<()> {
        let (to, target) = self.input(input)?;
        let (from, source) = self.output(output)?;
        let storage = self.plan.target.storage;
        let items = from.tensor.shape.batch();
        let item_bytes = from.tensor.bytes(storage) / items as u64;
        let (offset, bytes) = (first as u64 * item_bytes, to.tensor.bytes(storage));
        if offset + bytes > from.tensor.bytes(storage) {
            let message =
                format!("{output} has {items} items, too few for {input} from item {first}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(source, offset, target, 0, bytes);
        self.gpu.queue.submit([encoder.finish()]);
        Ok(())
    }

    /// Bytes of GPU memory that it allocated, by [`buffer_bytes`].
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Submits every dispatch, in bounded pieces, and returns without waiting.
    pub fn run(&self) {
        for range in self.submissions() {
            let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.steps[range].iter().for_each(|step| step.encode(&mut pass));
            drop(pass);
            self.gpu.queue.submit([encoder.finish()]);
        }
    }

    /// Dispatches grouped so that no submission runs long enough for a watchdog.
    pub(super) fn submissions(&self) -> Vec<Range<usize>> {
        let budget: u64 = match self.plan.target.class {
            DeviceClass::Software => 300_000_000,
            DeviceClass::Adreno | DeviceClass::Mali => 20_000_000_000,
            DeviceClass::Portable | DeviceClass::Intel | DeviceClass::Apple => 100_000_000_000,
            DeviceClass::Nvidia | DeviceClass::Amd => 1_000_000_000_000,
        };
        let (mut ranges, mut start, mut work) = (Vec::new(), 0, 0);
        for (index, step) in self.steps.iter().enumerate() {
            work += step.flops;
            if index + 1 - start == MAX_DISPATCHES
                || work >= budget
                || index + 1 == self.steps.len()
            {
                ranges.push(start..index + 1);
                (start, work) = (index + 1, 0);
            }
        }
        ranges
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
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

impl Step {
    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = self.groups;
        pass.set_pipeline(&self.kernel.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

fn entry(binding: u32, buffer: &Buffer, offset: usize, bytes: usize) -> wgpu::BindGroupEntry<'_> {
    let size = std::num::NonZeroU64::new((bytes as u64).next_multiple_of(16));
    let range = wgpu::BufferBinding { buffer, offset: offset as u64, size };
    wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(range) }
}
