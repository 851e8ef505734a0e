//! A graph made ready to run: commands in order, buffers by lifetime, parameters packed.

use super::command::Command;
use super::slots::{Lifetime, assign};
use super::{Graph, NodeId, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::{Launch, Shader, Target};
use crate::logging;
use crate::shape::TensorType;
use crate::weights::Packing;

/// Everything an executor needs, as plain data.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it was made for.
    pub target: Target,
    /// The dispatches and copies, in order.
    pub commands: Vec<Command>,
    /// Tensors the caller writes. Each has a buffer of its own.
    pub inputs: Vec<Port>,
    /// Tensors the caller reads. Each has a buffer of its own.
    pub outputs: Vec<Port>,
    /// Weights to be in GPU memory.
    pub weights: Vec<WeightUse>,
    /// Sizes of the buffers that intermediate tensors share, in bytes.
    pub slots: Vec<u64>,
    /// The parameters of all dispatches, each at an aligned offset.
    pub params: Vec<u8>,
}

/// One kernel on its buffers.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The layer, by its path in the model.
    pub path: String,
    /// The kernel.
    pub shader: &'static Shader,
    /// Its constants and workgroups.
    pub launch: Launch,
    /// Where its parameters begin in [`Plan::params`].
    pub params_offset: usize,
    /// The operands in the order of the bindings; the result is last.
    pub operands: Vec<Option<Operand>>,
    /// The result.
    pub output: TensorType,
    /// Bytes read and written when each operand is read once.
    pub bytes: u64,
    /// Bytes of the intermediate tensors that must exist while it runs.
    pub live_bytes: u64,
}

/// A range at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The buffer.
    pub place: Place,
    /// How many bytes of it.
    pub bytes: u64,
}

/// A buffer of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A position in [`Plan::weights`].
    Weight(usize),
    /// A position in [`Plan::inputs`].
    Input(usize),
    /// A position in [`Plan::outputs`].
    Output(usize),
    /// A position in [`Plan::slots`].
    Slot(usize),
}

/// A tensor at the border of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its type.
    pub tensor: TensorType,
}

/// A weight that a plan reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightUse {
    /// The safetensors name.
    pub name: String,
    /// Its layout in GPU memory.
    pub packing: Packing,
    /// Its type in GPU memory.
    pub tensor: TensorType,
}

impl Plan {
    /// Plans a graph for a target.
    ///
    /// # Errors
    /// `Memory` if a tensor is larger than one binding of the target may be; `Shape` if an output
    /// is not the result of an operation, or a [`Carry`](super::Carry) does not fit.
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
        let places = plan.place(graph, &roots, &lifetimes)?;
        for node in &graph.nodes {
            plan.check_size(&node.path, node.tensor)?;
        }
        for (id, node) in graph.nodes.iter().enumerate() {
            let Source::Op { op, operands } = &node.source else { continue };
            let launch = op.kernel().launch(&graph.types(operands), node.tensor, target);
            let bind = |id: NodeId| Operand {
                place: places[roots[id]],
                bytes: graph.nodes[id].tensor.bytes(target.storage),
            };
            let mut bindings: Vec<_> = operands.iter().map(|o| o.map(bind)).collect();
            bindings.resize(op.kernel().shader().operands.len(), None);
            bindings.push(Some(bind(id)));
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
        let (dispatches, copies) = (plan.commands.len(), plan.copies(&graph.carries)?);
        plan.commands.extend(copies.into_iter().map(Command::Copy));
        let (copies, bytes) = (plan.commands.len() - dispatches, plan.activation_bytes());
        log::debug!(
            target: logging::PLAN,
            "plan made: {dispatches} dispatches, {copies} copies, {bytes} bytes of activations"
        );
        Ok(plan)
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
        self.weights.iter().map(|weight| weight.tensor.bytes(self.target.storage)).sum()
    }

    /// Gives every node that is not a view a buffer; lists inputs, outputs and weights.
    fn place(
        &mut self,
        graph: &Graph,
        roots: &[NodeId],
        lifetimes: &[Lifetime],
    ) -> Result<Vec<Place>> {
        let mut places = vec![Place::Slot(usize::MAX); graph.nodes.len()];
        for (id, node) in graph.nodes.iter().enumerate() {
            match &node.source {
                Source::Input(name) => {
                    places[id] = Place::Input(self.inputs.len());
                    self.inputs.push(Port { name: name.clone(), tensor: node.tensor });
                }
                Source::Weight { name, packing } => {
                    places[id] = Place::Weight(self.weights.len());
                    let (name, packing) = (name.clone(), *packing);
                    self.weights.push(WeightUse { name, packing, tensor: node.tensor });
                }
                Source::View(_) | Source::Op { .. } => {}
            }
        }
        for (name, id) in &graph.outputs {
            let root = roots[*id];
            if !matches!(graph.nodes[root].source, Source::Op { .. })
                || matches!(places[root], Place::Output(_))
            {
                let message =
                    format!("the output {name} is not the result of an operation of its own");
                return Err(Error::new(ErrorKind::Shape, message));
            }
            places[root] = Place::Output(self.outputs.len());
            self.outputs.push(Port { name: name.clone(), tensor: graph.nodes[*id].tensor });
        }
        let shared: Vec<NodeId> = (0..graph.nodes.len())
            .filter(|&id| {
                places[id] == Place::Slot(usize::MAX)
                    && matches!(graph.nodes[id].source, Source::Op { .. })
            })
            .collect();
        let wanted: Vec<Lifetime> = shared.iter().map(|&id| lifetimes[id]).collect();
        let (slots, sizes) = assign(&wanted);
        for (id, slot) in shared.into_iter().zip(slots) {
            places[id] = Place::Slot(slot);
        }
        self.slots = sizes;
        Ok(places)
    }

    /// From where to where each result of an operation is needed; other nodes take no bytes.
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

    fn check_size(&self, path: &str, tensor: TensorType) -> Result<()> {
        let (bytes, limit) = (tensor.bytes(self.target.storage), self.target.max_binding_bytes);
        if bytes <= limit {
            return Ok(());
        }
        let message = format!(
            "{path}: a tensor {} of {bytes} bytes is larger than the {limit} bytes that this device \
             can bind at once; choose a smaller picture{}",
            tensor.shape,
            if self.target.storage.element_bytes() == 4 { " or storage f16 or packed" } else { "" }
        );
        Err(Error::new(ErrorKind::Memory, message))
    }
}

/// For every node the one whose memory it is: itself, or what it is a view of.
fn roots(graph: &Graph) -> Vec<NodeId> {
    let mut roots: Vec<NodeId> = (0..graph.nodes.len()).collect();
    for (id, node) in graph.nodes.iter().enumerate() {
        if let Source::View(of) = node.source {
            roots[id] = roots[of];
        }
    }
    roots
}
