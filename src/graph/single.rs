//! Graphs of one operation, for the checks and the benches of kernels.

use super::weight_policy::weight_format;
use super::{Graph, Node, NodeSource, Plan};
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::{Case, Choices, Mismatch, Target, key};
use std::sync::Arc;

/// A test case as a graph of one operation with the result `out`. Operands are inputs or weights
/// named by their positions: `0`, `1`, ….
///
/// # Errors
/// `Shape` if the operands do not fit.
pub fn single_op(case: &Case) -> Result<Graph> {
    let mut graph = Graph::default();
    let mut node = |source, tensor| {
        graph.nodes.push(Node { source, tensor, path: String::new() });
        graph.nodes.len() - 1
    };
    let mut operands = Vec::new();
    for (position, operand) in case.operands.iter().enumerate() {
        operands.push(operand.map(|operand| {
            let name = position.to_string();
            let source =
                if operand.weight { NodeSource::Weight { name } } else { NodeSource::Input(name) };
            node(source, operand.tensor)
        }));
    }
    let output = case.op.kernel().infer(&case.types());
    let output = output.map_err(|Mismatch(message)| Error::new(ErrorKind::Shape, message))?;
    let id = node(NodeSource::Op { op: case.op.clone(), operands }, output);
    graph.outputs.push(("out".into(), id));
    Ok(graph)
}

/// The plans of a test case, one for each variant that its kernel lists for a target; the first is
/// the default. Each is made with a table of choices that names the variant.
///
/// # Errors
/// As [`single_op`] and [`Plan::new`].
pub fn variant_plans(case: &Case, target: &Target) -> Result<Vec<Plan>> {
    let graph = single_op(case)?;
    let (types, output) = (case.types(), graph.nodes[graph.outputs[0].1].tensor);
    let variants = case.op.kernel().variants(&types, output, target);
    let format = variants.first().and_then(|launch| {
        let (operand, layout) = launch.matrix()?;
        Some(weight_format(&operand.to_string(), layout, target))
    });
    let key = key(&case.op, &types, output, target.storage, format);
    let plan = |variant: String| {
        let choices = Arc::new(Choices::from([(key.clone(), variant)]));
        Plan::new(&graph, &Target { choices, ..target.clone() })
    };
    variants.into_iter().map(|launch| plan(launch.variant)).collect()
}
