//! The graph of operations, and the plan made of it.
//!
//! [`Builder`] and [`Scope`] construct a [`Graph`] and check shapes as nodes are added; the passes in
//! [`passes`] rewrite it; [`Plan::new`] turns it into dispatches and buffers.

mod builder;
mod carry;
mod command;
mod limits;
pub mod passes;
mod plan;
mod report;
mod scope;
mod single;
mod slots;
mod tensor;
mod weight_policy;
mod weight_use;

pub use builder::Builder;
pub use carry::Carry;
pub use command::{BufferId, Command, Copy, Dispatch, Operand};
pub use plan::{Plan, Port};
pub use scope::{Scope, WeightIndex};
pub use single::{single_op, variant_plans};
pub use tensor::{AttentionShape, Tensor};
pub use weight_policy::weight_format;
pub use weight_use::{WeightKey, WeightUse};

use crate::kernels::Op;
use crate::shape::TensorType;

/// The position of a node in its graph.
pub type NodeId = usize;

/// A tensor of a graph and its source.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its source.
    pub source: NodeSource,
    /// Its shape and element type.
    pub tensor: TensorType,
    /// The path of its layer in the model, for messages and listings.
    pub path: String,
}

/// The source of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeSource {
    /// An input of this name, written by the caller.
    Input(String),
    /// A weight. The node has the file's shape; the kernel that reads it states a layout, and the
    /// planner decides on a format.
    Weight {
        /// The name in the file.
        name: String,
    },
    /// Another node's elements under another shape.
    View(NodeId),
    /// The result of an operation.
    Op {
        /// The operation.
        op: Op,
        /// Its operands by position, with `None` for absent ones.
        operands: Vec<Option<NodeId>>,
    },
}

impl NodeSource {
    /// The name of an input or a weight; empty for other sources.
    pub fn name(&self) -> &str {
        match self {
            NodeSource::Input(name) | NodeSource::Weight { name } => name,
            NodeSource::View(_) | NodeSource::Op { .. } => "",
        }
    }

    /// The nodes that are read.
    pub fn operands(&self) -> impl Iterator<Item = NodeId> + '_ {
        let (view, operands) = match self {
            NodeSource::View(of) => (Some(*of), &[][..]),
            NodeSource::Op { operands, .. } => (None, operands.as_slice()),
            NodeSource::Input(_) | NodeSource::Weight { .. } => (None, &[][..]),
        };
        view.into_iter().chain(operands.iter().copied().flatten())
    }
}

/// Nodes in topological order, and the outputs among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The nodes; each reads only earlier ones.
    pub nodes: Vec<Node>,
    /// The outputs by name.
    pub outputs: Vec<(String, NodeId)>,
    /// The copies of outputs over inputs that end a run. By name, since passes renumber nodes.
    pub carries: Vec<Carry>,
}

impl Graph {
    /// The number of times each node is read, by other nodes and as an output.
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

    /// The operation and operands of a node; `None` for other sources.
    pub fn op(&self, id: NodeId) -> Option<(&Op, &[Option<NodeId>])> {
        match &self.nodes[id].source {
            NodeSource::Op { op, operands } => Some((op, operands)),
            _ => None,
        }
    }

    /// The types of operands, as kernels take them.
    pub fn types(&self, operands: &[Option<NodeId>]) -> Vec<Option<TensorType>> {
        operands.iter().map(|id| id.map(|id| self.nodes[id].tensor)).collect()
    }
}
