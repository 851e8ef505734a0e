//! Removal of nodes that no output depends on.

use crate::graph::{Graph, NodeId, NodeSource};

/// The graph without the nodes that no output depends on.
pub fn prune(graph: Graph) -> Graph {
    let needed = reachable(&graph);
    keep(graph, &needed)
}

/// For every node whether an output depends on it.
fn reachable(graph: &Graph) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes.len()];
    for (_, id) in &graph.outputs {
        needed[*id] = true;
    }
    for id in (0..graph.nodes.len()).rev() {
        if needed[id] {
            graph.nodes[id].source.operands().for_each(|operand| needed[operand] = true);
        }
    }
    needed
}

/// The graph with only the marked nodes; the operands of a marked node must be marked.
fn keep(graph: Graph, marks: &[bool]) -> Graph {
    let mut position: Vec<NodeId> = vec![0; graph.nodes.len()];
    let mut kept = Graph::default();
    for (id, mut node) in graph.nodes.into_iter().enumerate() {
        if !marks[id] {
            continue;
        }
        match &mut node.source {
            NodeSource::View(of) => *of = position[*of],
            NodeSource::Op { operands, .. } => {
                operands.iter_mut().flatten().for_each(|operand| *operand = position[*operand]);
            }
            NodeSource::Input(_) | NodeSource::Weight { .. } => {}
        }
        position[id] = kept.nodes.len();
        kept.nodes.push(node);
    }
    kept.carries = graph.carries;
    kept.outputs = graph.outputs.into_iter().map(|(name, id)| (name, position[id])).collect();
    kept
}
