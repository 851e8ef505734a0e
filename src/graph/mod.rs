//! The graph: plain data between the models that build it and the plan that runs.
//!
//! [`Builder`] and [`Scope`] construct a [`Graph`] with shapes checked as it grows; the passes in
//! [`passes`] rewrite it; [`Plan::new`] turns it into dispatches and buffers.

mod builder;
mod carry;
mod command;
pub mod passes;
mod plan;
mod report;
mod scope;
mod slots;
mod tensor;

pub use builder::Builder;
pub use carry::Carry;
pub use command::{Command, Copy};
pub use plan::{Dispatch, Operand, Place, Plan, Port, WeightUse};
pub use scope::{Scope, WeightIndex};
pub use tensor::{AttentionShape, Tensor};

use crate::kernels::Op;
use crate::shape::TensorType;
use crate::weights::Packing;

/// The position of a node in its graph.
pub type NodeId = usize;

/// A tensor and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it comes from.
    pub source: Source,
    /// What it is.
    pub tensor: TensorType,
    /// The model's path of the layer it belongs to, for messages and listings.
    pub path: String,
}

/// Where a tensor comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Given by the caller, by name.
    Input(String),
    /// A weight by its safetensors name, repacked on upload.
    Weight {
        /// The name in the file.
        name: String,
        /// How the file's layout becomes the kernels'.
        packing: Packing,
    },
    /// Another node's elements under another shape.
    View(NodeId),
    /// The result of an operation; an operand that was left out is `None`.
    Op {
        /// The operation.
        op: Op,
        /// Its operands by position.
        operands: Vec<Option<NodeId>>,
    },
}

impl Source {
    /// The nodes it reads.
    pub fn operands(&self) -> impl Iterator<Item = NodeId> + '_ {
        let (view, operands) = match self {
            Source::View(of) => (Some(*of), &[][..]),
            Source::Op { operands, .. } => (None, operands.as_slice()),
            Source::Input(_) | Source::Weight { .. } => (None, &[][..]),
        };
        view.into_iter().chain(operands.iter().copied().flatten())
    }
}

/// Nodes in topological order and which of them are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The nodes; each reads only earlier ones.
    pub nodes: Vec<Node>,
    /// The wanted results by name.
    pub outputs: Vec<(String, NodeId)>,
    /// The copies of outputs over inputs that end a run. By name, since passes renumber nodes.
    pub carries: Vec<Carry>,
}

impl Graph {
    /// How often each node is read, by other nodes and as an output.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        for operand in self.nodes.iter().flat_map(|node| node.source.operands()) {
            uses[operand] += 1;
        }
        for (_, output) in &self.outputs {
            uses[*output] += 1;
        }
        uses
    }

    /// The node's operation and operands, if it is one.
    pub fn op(&self, id: NodeId) -> Option<(&Op, &[Option<NodeId>])> {
        match &self.nodes[id].source {
            Source::Op { op, operands } => Some((op, operands)),
            _ => None,
        }
    }

    /// The types of operands, as kernels want them.
    pub fn types(&self, operands: &[Option<NodeId>]) -> Vec<Option<TensorType>> {
        operands.iter().map(|id| id.map(|id| self.nodes[id].tensor)).collect()
    }
}
