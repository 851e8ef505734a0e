//! Separation of the operations that depend on the sampling step from those that do not.

use super::prune;
use crate::graph::{Graph, NodeId, NodeSource};

/// A graph in two parts that run at different rates.
#[derive(Clone, Debug, PartialEq)]
pub struct Phases {
    /// The operations that depend on no per-step input, such as text keys and values, and time
    /// embeddings; it runs once. Results that `step` reads are outputs here and inputs there:
    /// `hoisted.0`, `hoisted.1`, …. Outputs of the whole graph that do not change are here as well.
    pub prepare: Graph,
    /// The other operations, which run every step.
    pub step: Graph,
}

/// Splits a graph into the operations that depend on the inputs named in `per_step`, or on inputs that
/// an output is carried over to, and the others. Carries go with the phase that has their output.
pub fn split_phases(graph: Graph, per_step: &[&str]) -> Phases {
    let mut varies = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        varies[id] = match &node.source {
            NodeSource::Input(name) => {
                let carried = graph.carries.iter().any(|carry| carry.input == *name);
                carried || per_step.contains(&name.as_str())
            }
            source => source.operands().any(|operand| varies[operand]),
        };
    }
    let computed =
        |id: NodeId| matches!(graph.nodes[id].source, NodeSource::Op { .. } | NodeSource::View(_));
    let mut crosses = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        if varies[id] {
            for operand in node.source.operands().filter(|o| !varies[*o] && computed(*o)) {
                crosses[operand] = true;
            }
        }
    }
    let (mut prepare, mut step) = (graph.clone(), graph);
    prepare.outputs.retain(|(_, id)| !varies[*id]);
    step.outputs.retain(|(_, id)| varies[*id]);
    for (index, id) in (0..crosses.len()).filter(|id| crosses[*id]).enumerate() {
        let known = prepare.outputs.iter().find(|(_, output)| *output == id);
        let name = known.map_or_else(|| format!("hoisted.{index}"), |(name, _)| name.clone());
        if known.is_none() {
            prepare.outputs.push((name.clone(), id));
        }
        step.nodes[id].source = NodeSource::Input(name);
    }
    for phase in [&mut prepare, &mut step] {
        let outputs = &phase.outputs;
        phase.carries.retain(|carry| outputs.iter().any(|(name, _)| *name == carry.output));
    }
    Phases { prepare: prune(prepare), step: prune(step) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Builder;
    use crate::shape::TensorType;

    #[test]
    fn what_does_not_change_leaves_the_step() -> crate::Result<()> {
        let builder = Builder::new();
        let text = builder.input("text", TensorType::real([1, 8]));
        let sample = builder.input("sample", TensorType::real([1, 8]));
        let keys = text.silu();
        builder.output("keys", keys);
        builder.output("state", sample + keys.silu() + keys);
        builder.carry("state", 0, "sample");
        // What is carried varies, named or not.
        let phases = split_phases(builder.finish()?, &[]);
        assert_eq!((phases.prepare.carries.len(), phases.step.carries.len()), (0, 1));
        let names = |graph: &Graph| -> Vec<String> {
            graph.outputs.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&phases.prepare), ["keys", "hoisted.1"]);
        assert_eq!(names(&phases.step), ["state"]);
        let operations =
            |graph: &Graph| (0..graph.nodes.len()).filter(|id| graph.op(*id).is_some()).count();
        assert_eq!((operations(&phases.prepare), operations(&phases.step)), (2, 2));
        Ok(())
    }
}
