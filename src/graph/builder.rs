//! Construction of a [`Graph`]: shapes are checked as nodes are added, and the first error is kept.

use super::{Carry, Graph, Node, NodeId, NodeSource, Tensor};
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::Op;
use crate::logging;
use crate::shape::TensorType;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// The hint of errors about weights that do not make the model which they and the configuration tell.
pub(super) const MISFIT: &str = "the weights must be complete, and of the same model as their \
                                 configuration (config.json, where there is one)";

/// A graph under construction. Models write formulas without checking each line: the first error
/// is kept, everything after it is ignored, and [`Builder::finish`] returns it.
#[derive(Default)]
pub struct Builder {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    graph: Graph,
    error: Option<Error>,
    path: String,
    weights: BTreeMap<String, NodeId>,
    /// The component to which the weights in `unused` belong.
    component: String,
    unused: BTreeSet<String>,
    taps: Vec<(String, NodeId)>,
}

impl Builder {
    /// An empty graph.
    pub fn new() -> Self {
        Builder::default()
    }

    /// An input tensor, written by the caller at run time.
    pub fn input(&self, name: &str, tensor: TensorType) -> Tensor<'_> {
        self.push(NodeSource::Input(name.into()), tensor)
    }

    /// Declares a tensor as an output with a name.
    pub fn output(&self, name: &str, tensor: Tensor) {
        self.state.borrow_mut().graph.outputs.push((name.into(), tensor.id));
    }

    /// Copies items of an output, from `first_item` of its outermost axis on, over an input at the end
    /// of every run: the state that a run hands to the next. [`Plan::new`](super::Plan::new) checks
    /// that names and sizes fit.
    pub fn carry(&self, output: &str, first_item: usize, input: &str) {
        let carry = Carry { output: output.into(), first_item, input: input.into() };
        self.state.borrow_mut().graph.carries.push(carry);
    }

    /// Adds an operation and returns its result.
    pub fn apply(&self, op: impl Into<Op>, operands: &[Option<Tensor>]) -> Tensor<'_> {
        let op = op.into();
        let mut operands: Vec<_> = operands.iter().map(|tensor| tensor.map(|t| t.id)).collect();
        // Optional operands at the end may be left out.
        operands.resize(op.kernel().shader().operands.len(), None);
        let types = self.state.borrow().graph.types(&operands);
        match op.kernel().infer(&types) {
            Ok(tensor) => self.push(NodeSource::Op { op, operands }, tensor),
            Err(mismatch) => {
                let message = format!("{}: {}", op.name(), mismatch.0);
                self.fail(Error::new(ErrorKind::Shape, message).with_hint(MISFIT));
                self.placeholder()
            }
        }
    }

    /// The graph, or the first error, or an error that names weights which were never used.
    pub fn finish(self) -> Result<Graph> {
        self.finish_tapped(false)
    }

    /// Like [`finish`](Builder::finish), with every [`Tensor::tap`] as an output named by its path, so that a
    /// comparison can name the first layer that diverges.
    pub fn finish_with_taps(self) -> Result<Graph> {
        self.finish_tapped(true)
    }

    fn finish_tapped(self, taps: bool) -> Result<Graph> {
        let mut state = self.state.into_inner();
        if let Some(error) = state.error {
            return Err(error);
        }
        if !state.unused.is_empty() {
            let names: Vec<_> = state.unused.iter().take(5).map(String::as_str).collect();
            let count = state.unused.len();
            let message = format!(
                "{}: {count} weight{} in the file, but not in the model that the configuration and \
                 the other weights describe: {}{}",
                state.component,
                if count == 1 { " is" } else { "s are" },
                names.join(", "),
                if count > names.len() { ", …" } else { "" }
            );
            return Err(Error::new(ErrorKind::Weights, message).with_hint(MISFIT));
        }
        if taps {
            state.graph.outputs.append(&mut state.taps);
        }
        let (nodes, outputs) = (state.graph.nodes.len(), state.graph.outputs.len());
        log::debug!(target: logging::GRAPH, "graph finished: {nodes} nodes, {outputs} outputs");
        Ok(state.graph)
    }

    pub(super) fn push(&self, source: NodeSource, tensor: TensorType) -> Tensor<'_> {
        let mut state = self.state.borrow_mut();
        let path = state.path.clone();
        let id = state.graph.nodes.len();
        state.graph.nodes.push(Node { source, tensor, path });
        Tensor { builder: self, id }
    }

    /// The node of a weight: one node, however many layers use it.
    pub(super) fn weight(&self, name: &str, tensor: TensorType) -> Tensor<'_> {
        let known = self.state.borrow().weights.get(name).copied();
        if let Some(id) = known {
            return Tensor { builder: self, id };
        }
        let node = self.push(NodeSource::Weight { name: name.into() }, tensor);
        let mut state = self.state.borrow_mut();
        state.weights.insert(name.into(), node.id);
        state.unused.remove(name);
        node
    }

    /// A tensor in the place of one that could not be made.
    pub(super) fn placeholder(&self) -> Tensor<'_> {
        self.push(NodeSource::Input("failed".into()), TensorType::real([1, 1, 1, 1]))
    }

    /// Records an error with the path of the layer under construction, if it is the first.
    pub(super) fn fail(&self, error: Error) {
        let mut state = self.state.borrow_mut();
        if state.error.is_none() {
            let path = state.path.clone();
            state.error = Some(if path.is_empty() { error } else { error.context(path) });
        }
    }

    pub(super) fn set_path(&self, path: &str) {
        self.state.borrow_mut().path = path.into();
    }

    pub(super) fn expect_weights(&self, component: &str, names: impl Iterator<Item = String>) {
        let mut state = self.state.borrow_mut();
        state.component = component.into();
        state.unused.extend(names);
    }

    pub(super) fn ignore_weights(&self, prefix: &str) {
        self.state.borrow_mut().unused.retain(|name| !name.starts_with(prefix));
    }

    pub(super) fn tap(&self, path: String, id: NodeId) {
        self.state.borrow_mut().taps.push((path, id));
    }

    pub(super) fn tensor(&self, id: NodeId) -> TensorType {
        self.state.borrow().graph.nodes[id].tensor
    }
}
