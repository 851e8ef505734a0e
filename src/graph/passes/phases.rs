//! Separates what changes with the sampling step from what does not.

use super::prune;
use crate::graph::{Graph, NodeId, Source};

/// A graph in two parts that run at different rates.
#[derive(Clone, Debug, PartialEq)]
pub struct Phases {
    /// What depends on no per-step input: text keys and values, time embeddings. Runs once. Its
    /// outputs are the inputs `hoisted.0`, `hoisted.1`, … of `step`.
    pub prepare: Graph,
    /// The rest, which runs every step.
    pub step: Graph,
}

/// Splits a graph at the boundary of what depends on the inputs named in `per_step`.
pub fn split_phases(graph: Graph, per_step: &[&str]) -> Phases {
    let mut varies = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        varies[id] = match &node.source {
            Source::Input(name) => per_step.contains(&name.as_str()),
            source => source.operands().any(|operand| varies[operand]),
        };
    }
    let computed = |id: NodeId| matches!(graph.nodes[id].source, Source::Op { .. } | Source::View(_));
    let mut crosses = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        if varies[id] {
            for operand in node.source.operands().filter(|o| !varies[*o] && computed(*o)) {
                crosses[operand] = true;
            }
        }
    }
    let (mut prepare, mut step) = (graph.clone(), graph);
    prepare.outputs.clear();
    for (index, id) in (0..crosses.len()).filter(|id| crosses[*id]).enumerate() {
        let name = format!("hoisted.{index}");
        prepare.outputs.push((name.clone(), id));
        step.nodes[id].source = Source::Input(name);
    }
    Phases { prepare: prune(prepare), step: prune(step) }
}
