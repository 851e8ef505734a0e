//! The plan of a graph: commands in order, buffers shared by lifetime, packed parameters.

use super::command::{BufferId, Command, Dispatch, Operand};
use super::limits;
use super::slots::{Lifetime, assign};
use super::{Graph, Node, NodeId, NodeSource, WeightKey, WeightUse, weight_format};
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::{Op, Target};
use crate::logging;
use crate::shape::{Shape, TensorType};
use crate::weights::WeightLayout;

/// The dispatches and buffers of a graph on a target, as plain data for an executor.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The target that it was made for.
    pub target: Target,
    /// The dispatches and copies, in order.
    pub commands: Vec<Command>,
    /// Tensors that the caller writes, each with a buffer of its own.
    pub inputs: Vec<Port>,
    /// Tensors that the caller reads, each with a buffer of its own.
    pub outputs: Vec<Port>,
    /// Weights that must be in GPU memory, in their layouts and formats.
    pub weights: Vec<WeightUse>,
    /// Sizes of the buffers that intermediate tensors share, in bytes.
    pub slots: Vec<u64>,
    /// The parameters of all dispatches, each at an aligned offset.
    pub params: Vec<u8>,
}

/// An input or output of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its type.
    pub tensor: TensorType,
}

impl Plan {
    /// Plans a graph for a target.
    ///
    /// # Errors
    /// `Memory` if a tensor is larger than one binding of the target may be or a dispatch has too many
    /// workgroups; `Unsupported` if a kernel needs more than another limit allows; `Shape` if an output
    /// is not the result of an operation, a [`Carry`](super::Carry) does not fit, or a kernel reads a
    /// weight as a tensor or the reverse; `Weights` if a layout does not apply to a weight.
    pub fn new(graph: &Graph, target: &Target) -> Result<Plan> {
        let roots = roots(graph);
        let mut plan = Plan {
            target: target.clone(),
            commands: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            weights: Vec::new(),
            slots: Vec::new(),
            params: Vec::new(),
        };
        let lifetimes = plan.lifetimes(graph, &roots);
        let buffers = plan.buffers(graph, &roots, &lifetimes)?;
        for node in graph.nodes.iter().filter(|n| !matches!(n.source, NodeSource::Weight { .. })) {
            let path = match &node.source {
                NodeSource::Input(name) => name,
                _ => &node.path,
            };
            plan.check_size(path, node.tensor.shape, node.tensor.bytes(target.storage))?;
        }
        for (id, node) in graph.nodes.iter().enumerate() {
            let NodeSource::Op { op, operands } = &node.source else { continue };
            let format = |position: usize, layout| {
                let name = operands[position].map_or("", |id| graph.nodes[id].source.name());
                weight_format(name, layout, target)
            };
            let launch = op.launch(&graph.types(operands), node.tensor, target, format);
            let launch = launch.within(target.max_groups);
            let mut bindings = vec![None; op.kernel().shader().operands.len()];
            for (position, operand) in operands.iter().enumerate() {
                let Some(operand) = *operand else { continue };
                let read = &graph.nodes[operand];
                let bound = match (launch.layout(position), buffers[roots[operand]]) {
                    (None | Some(WeightLayout::Vector), Some(buffer)) => {
                        plan.tensor(buffer, read.tensor)
                    }
                    (Some(layout), None) if matches!(read.source, NodeSource::Weight { .. }) => {
                        let weight = (read.source.name(), layout, format(position, layout));
                        plan.weight(&node.path, weight, read.tensor.shape)?
                    }
                    _ => return Err(misread(node, op, position, &read.source)),
                };
                bindings[position] = Some(bound);
            }
            bindings.push(buffers[roots[id]].map(|buffer| plan.tensor(buffer, node.tensor)));
            limits::check(&node.path, op.name(), &launch, &bindings, target)?;
            let params_offset = plan.params.len();
            plan.params.extend_from_slice(&launch.params);
            plan.params.resize(
                plan.params.len().next_multiple_of(target.uniform_alignment_bytes as usize),
                0,
            );
            plan.commands.push(Command::Dispatch(Dispatch {
                path: node.path.clone(),
                shader: op.kernel().shader(),
                launch,
                params_offset,
                live_bytes: lifetimes
                    .iter()
                    .filter(|l| l.first <= id && id <= l.last)
                    .map(|l| l.bytes)
                    .sum(),
                bytes: bindings.iter().flatten().map(|operand| operand.bytes).sum(),
                operands: bindings,
                output: node.tensor,
            }));
        }
        let (bytes, limit) = (plan.params.len() as u64, target.max_binding_bytes);
        if bytes > limit {
            let message = format!(
                "the parameters of all kernels need {bytes} bytes in one buffer, and the device's \
                 limit max_buffer_size is {limit}"
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let (dispatches, copies) = (plan.commands.len(), plan.copies(&graph.carries)?);
        plan.commands.extend(copies.into_iter().map(Command::Copy));
        let (copies, bytes) = (plan.commands.len() - dispatches, plan.activation_bytes());
        log::debug!(
            target: logging::PLAN,
            "plan made: {dispatches} dispatches, {copies} copies, {bytes} bytes of activations"
        );
        Ok(plan)
    }

    /// The dispatches, in order.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> + Clone {
        self.commands.iter().filter_map(|command| match command {
            Command::Dispatch(dispatch) => Some(dispatch),
            Command::Copy(_) => None,
        })
    }

    /// The dispatches, in order, to alter them: for checks that a wrong kernel is noticed.
    pub fn dispatches_mut(&mut self) -> impl Iterator<Item = &mut Dispatch> {
        self.commands.iter_mut().filter_map(|command| match command {
            Command::Dispatch(dispatch) => Some(dispatch),
            Command::Copy(_) => None,
        })
    }

    /// Bytes that all commands read and write when each operand is read once.
    pub fn moved_bytes(&self) -> u64 {
        let moved = self.commands.iter().map(|command| match command {
            Command::Dispatch(dispatch) => dispatch.bytes,
            Command::Copy(copy) => 2 * copy.bytes,
        });
        moved.sum()
    }

    /// The position of an input.
    pub fn input(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|port| port.name == name)
    }

    /// The position of an output.
    pub fn output(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|port| port.name == name)
    }

    /// Floating-point operations of all dispatches.
    pub fn flops(&self) -> u64 {
        self.dispatches().map(|dispatch| dispatch.launch.flops).sum()
    }

    /// Bytes of GPU memory beside the weights: slots, inputs, outputs and parameters.
    pub fn activation_bytes(&self) -> u64 {
        let ports = self.inputs.iter().chain(&self.outputs);
        ports.map(|port| port.tensor.bytes(self.target.storage)).sum::<u64>()
            + self.slots.iter().sum::<u64>()
            + self.params.len() as u64
    }

    /// Bytes of the weights in GPU memory.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.iter().map(WeightUse::bytes).sum()
    }

    /// A tensor as an operand.
    fn tensor(&self, buffer: BufferId, tensor: TensorType) -> Operand {
        Operand { buffer, bytes: tensor.bytes(self.target.storage) }
    }

    /// A weight as an operand of the layer `path`, listed among the plan's weights.
    fn weight(&mut self, path: &str, weight: WeightKey<'_>, shape: Shape) -> Result<Operand> {
        let known = self.weights.iter().position(|known| known.key() == weight);
        let index = known.unwrap_or(self.weights.len());
        if known.is_none() {
            let (name, layout, format) = weight;
            let new = WeightUse::new(name, layout, format, shape)?;
            self.check_size(path, shape, new.bytes())?;
            self.weights.push(new);
        }
        Ok(Operand { buffer: BufferId::Weight(index), bytes: self.weights[index].bytes() })
    }

    /// The buffers of inputs, outputs and results of operations; lists inputs and outputs. Weights
    /// have none until a launch states a layout, views have that of their root.
    fn buffers(
        &mut self,
        graph: &Graph,
        roots: &[NodeId],
        lifetimes: &[Lifetime],
    ) -> Result<Vec<Option<BufferId>>> {
        let mut buffers = vec![None; graph.nodes.len()];
        for (id, node) in graph.nodes.iter().enumerate() {
            if let NodeSource::Input(name) = &node.source {
                buffers[id] = Some(BufferId::Input(self.inputs.len()));
                self.inputs.push(Port { name: name.clone(), tensor: node.tensor });
            }
        }
        for (name, id) in &graph.outputs {
            let root = roots[*id];
            if !matches!(graph.nodes[root].source, NodeSource::Op { .. }) || buffers[root].is_some()
            {
                let message =
                    format!("the output {name} is not the result of an operation of its own");
                return Err(Error::new(ErrorKind::Shape, message));
            }
            buffers[root] = Some(BufferId::Output(self.outputs.len()));
            self.outputs.push(Port { name: name.clone(), tensor: graph.nodes[*id].tensor });
        }
        let shared: Vec<NodeId> = (0..graph.nodes.len())
            .filter(|&id| {
                buffers[id].is_none() && matches!(graph.nodes[id].source, NodeSource::Op { .. })
            })
            .collect();
        let wanted: Vec<Lifetime> = shared.iter().map(|&id| lifetimes[id]).collect();
        let (slots, sizes) = assign(&wanted);
        for (id, slot) in shared.into_iter().zip(slots) {
            buffers[id] = Some(BufferId::Slot(slot));
        }
        self.slots = sizes;
        Ok(buffers)
    }

    /// The lifetime of each operation's result; other nodes take no bytes.
    fn lifetimes(&self, graph: &Graph, roots: &[NodeId]) -> Vec<Lifetime> {
        let computed = |id: NodeId| {
            graph.op(id).map_or(0, |_| graph.nodes[id].tensor.bytes(self.target.storage))
        };
        let mut lifetimes: Vec<_> = (0..graph.nodes.len())
            .map(|id| Lifetime { first: id, last: id, bytes: computed(id) })
            .collect();
        for id in 0..graph.nodes.len() {
            for operand in
                graph.op(id).into_iter().flat_map(|(_, operands)| operands.iter().flatten())
            {
                lifetimes[roots[*operand]].last = id;
            }
        }
        lifetimes
    }

    fn check_size(&self, path: &str, shape: Shape, bytes: u64) -> Result<()> {
        let limit = self.target.max_binding_bytes;
        if bytes <= limit {
            return Ok(());
        }
        let message = format!(
            "{path}: a tensor {shape} of {bytes} bytes is larger than the {limit} bytes that this \
             device can bind at once (max_storage_buffer_binding_size or max_buffer_size); choose a \
             smaller picture{}",
            if self.target.storage.element_bytes() == 4 { " or storage f16 or packed" } else { "" }
        );
        Err(Error::new(ErrorKind::Memory, message))
    }
}

/// For every node the one that owns its memory: the root of a view, or the node itself.
fn roots(graph: &Graph) -> Vec<NodeId> {
    let mut roots: Vec<NodeId> = (0..graph.nodes.len()).collect();
    for (id, node) in graph.nodes.iter().enumerate() {
        if let NodeSource::View(of) = node.source {
            roots[id] = roots[of];
        }
    }
    roots
}

/// An operand that the kernel reads as a weight but is a tensor, or the reverse.
fn misread(node: &Node, op: &Op, position: usize, source: &NodeSource) -> Error {
    let operand = op.kernel().shader().operands[position];
    let (expected, got) = match source {
        NodeSource::Weight { name } => ("a tensor", format!("the weight {name}")),
        NodeSource::Input(name) => ("a weight", format!("the input {name}")),
        NodeSource::View(_) => ("a weight", "a view".into()),
        NodeSource::Op { .. } => ("a weight", "the result of an operation".into()),
    };
    let message =
        format!("{}: {}: {operand}: expected {expected}, got {got}", node.path, op.name());
    Error::new(ErrorKind::Shape, message)
}
