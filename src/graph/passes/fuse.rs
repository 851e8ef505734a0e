//! Fusion of operations into the product or norm before them, so that a tensor is stored once:
//!
//! ```text
//! upsample → conv2d                    = conv2d { upsample }
//! group_norm → silu                    = group_norm { silu }
//! f(x·w + b)                           = matmul | conv2d { activation: f }
//! gate(x·w + b)                        = matmul { gated }
//! (x·w + b) + one row per batch item   = matmul | conv2d with channel_add
//! (x·w + b) + row(table, step)         = matmul | conv2d with channel_add and step
//! (x·w + b) + y                        = matmul | conv2d with residual
//! ```
//!
//! A pattern applies where no other node reads the intermediate tensor.

use super::prune;
use crate::graph::{Graph, NodeId, NodeSource};
use crate::kernels::Op;
use crate::kernels::activation::Function;
use crate::kernels::binary::Arithmetic;
use crate::kernels::epilogue::{Epilogue, operand};

/// The graph with every pattern applied once, in topological order.
pub fn fuse(mut graph: Graph) -> Graph {
    let uses = graph.uses();
    for id in 0..graph.nodes.len() {
        let fused = upsample_conv(&graph, &uses, id)
            .or_else(|| norm_silu(&graph, &uses, id))
            .or_else(|| activation(&graph, &uses, id))
            .or_else(|| gate(&graph, &uses, id))
            .or_else(|| channel_add(&graph, &uses, id))
            .or_else(|| residual(&graph, &uses, id));
        if let Some((op, operands, layer)) = fused {
            graph.nodes[id].source = NodeSource::Op { op, operands };
            graph.nodes[id].path = graph.nodes[layer].path.clone();
        }
    }
    prune(graph)
}

/// The operation that replaces a node, its operands, and the node whose path it takes.
type Fused = (Op, Vec<Option<NodeId>>, NodeId);

fn upsample_conv(graph: &Graph, uses: &[usize], id: NodeId) -> Option<Fused> {
    let (Op::Conv2d(conv), operands) = graph.op(id)? else { return None };
    let x = operands[operand::X]?;
    let (Op::Upsample(upsample), inner) = graph.op(x)? else { return None };
    if uses[x] != 1 || conv.upsample.is_some() {
        return None;
    }
    let mut conv = conv.clone();
    conv.upsample = Some(*upsample);
    let mut operands = operands.to_vec();
    operands[operand::X] = inner[0];
    Some((conv.into(), operands, id))
}

fn norm_silu(graph: &Graph, uses: &[usize], id: NodeId) -> Option<Fused> {
    let (Op::Activation(activation), operands) = graph.op(id)? else { return None };
    let x = operands[0]?;
    let (Op::GroupNorm(norm), inner) = graph.op(x)? else { return None };
    if uses[x] != 1 || norm.silu || activation.function != Function::Silu {
        return None;
    }
    let mut norm = norm.clone();
    norm.silu = true;
    Some((norm.into(), inner.to_vec(), x))
}

fn activation(graph: &Graph, uses: &[usize], id: NodeId) -> Option<Fused> {
    let (Op::Activation(activation), operands) = graph.op(id)? else { return None };
    let product = Product::single_use(graph, uses, operands[0]?)?;
    let open = product.epilogue == Epilogue::default() && product.absent(operand::RESIDUAL);
    open.then(|| {
        let epilogue = Epilogue { activation: Some(activation.function), gated: false };
        product.with(epilogue, product.operands.to_vec())
    })
}

fn gate(graph: &Graph, uses: &[usize], id: NodeId) -> Option<Fused> {
    let (Op::Gate(gate), operands) = graph.op(id)? else { return None };
    let product = Product::single_use(graph, uses, operands[0]?)?;
    let open = product.epilogue == Epilogue::default()
        && product.absent(operand::RESIDUAL)
        && product.absent(operand::CHANNEL_ADD);
    open.then(|| {
        let epilogue = Epilogue { activation: Some(gate.function), gated: true };
        product.with(epilogue, product.operands.to_vec())
    })
}

fn channel_add(graph: &Graph, uses: &[usize], id: NodeId) -> Option<Fused> {
    let (a, b) = addition(graph, id)?;
    let product = Product::single_use(graph, uses, a)?;
    let (sum, added) = (graph.nodes[a].tensor.shape, graph.nodes[b].tensor.shape);
    let broadcast = added.rank() == 2
        && added.rows() != sum.rows()
        && (added.rows() == 1 || added.rows() == sum.batch());
    let open = product.epilogue == Epilogue::default()
        && product.absent(operand::RESIDUAL)
        && product.absent(operand::CHANNEL_ADD);
    (broadcast && open).then(|| {
        let mut operands = product.operands.to_vec();
        match graph.op(b) {
            Some((Op::Row(_), row)) => {
                (operands[operand::CHANNEL_ADD], operands[operand::STEP]) = (row[0], row[1]);
            }
            _ => operands[operand::CHANNEL_ADD] = Some(b),
        }
        product.with(product.epilogue, operands)
    })
}

fn residual(graph: &Graph, uses: &[usize], id: NodeId) -> Option<Fused> {
    let (a, b) = addition(graph, id)?;
    let shape = graph.nodes[id].tensor.shape;
    if graph.nodes[b].tensor.shape != shape {
        return None;
    }
    // Both sides may be products; the later one takes the sum.
    [(a.max(b), a.min(b)), (a.min(b), a.max(b))].into_iter().find_map(|(product, other)| {
        let product = Product::single_use(graph, uses, product)?;
        product.absent(operand::RESIDUAL).then(|| {
            let mut operands = product.operands.to_vec();
            operands[operand::RESIDUAL] = Some(other);
            product.with(product.epilogue, operands)
        })
    })
}

/// The two sides of a node that adds.
fn addition(graph: &Graph, id: NodeId) -> Option<(NodeId, NodeId)> {
    match graph.op(id)? {
        (Op::Binary(binary), operands) if binary.function == Arithmetic::Add => {
            Some((operands[0]?, operands[1]?))
        }
        _ => None,
    }
}

/// A `matmul` or `conv2d` node that may take on an epilogue.
struct Product<'g> {
    id: NodeId,
    op: &'g Op,
    operands: &'g [Option<NodeId>],
    epilogue: Epilogue,
}

impl<'g> Product<'g> {
    fn single_use(graph: &'g Graph, uses: &[usize], id: NodeId) -> Option<Product<'g>> {
        let (op, operands) = graph.op(id)?;
        let epilogue = match op {
            Op::MatMul(matmul) => matmul.epilogue,
            Op::Conv2d(conv) => conv.epilogue,
            _ => return None,
        };
        (uses[id] == 1).then_some(Product { id, op, operands, epilogue })
    }

    fn absent(&self, index: usize) -> bool {
        self.operands[index].is_none()
    }

    fn with(&self, epilogue: Epilogue, operands: Vec<Option<NodeId>>) -> Fused {
        let mut op = self.op.clone();
        match &mut op {
            Op::MatMul(matmul) => matmul.epilogue = epilogue,
            Op::Conv2d(conv) => conv.epilogue = epilogue,
            _ => unreachable!("a product is a matmul or a conv2d"),
        }
        (op, operands, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Builder, Scope, Tensor, WeightIndex};
    use crate::kernels::scheduler_step::slot;
    use crate::shape::TensorType;

    /// One linear and one convolution layer of 8 channels, and a norm.
    struct Layers;

    impl WeightIndex for Layers {
        fn shape(&self, name: &str) -> Option<Vec<usize>> {
            match name {
                "linear.weight" => Some(vec![8, 8]),
                "wide.weight" => Some(vec![16, 8]),
                "conv.weight" => Some(vec![8, 8, 3, 3]),
                "norm.weight" | "norm.bias" | "linear.bias" => Some(vec![8]),
                _ => None,
            }
        }

        fn names(&self) -> Vec<String> {
            Vec::new()
        }
    }

    /// The names of the operations left after fusion.
    fn fused(
        formula: impl for<'g> Fn(&Scope<'g>, Tensor<'g>, Tensor<'g>) -> Tensor<'g>,
    ) -> Vec<&'static str> {
        let builder = Builder::new();
        let m = Scope::new(&builder, "test", &Layers);
        let x = builder.input("x", TensorType::real([2, 4, 6, 8]));
        let step = builder.input("step", TensorType::f32([slot::LEN]));
        builder.output("y", formula(&m, x, step));
        let graph = fuse(builder.finish().unwrap());
        (0..graph.nodes.len()).filter_map(|id| graph.op(id)).map(|(op, _)| op.name()).collect()
    }

    #[test]
    fn every_pattern_leaves_one_operation() {
        assert_eq!(fused(|m, x, _| m.conv("conv", x.upsample(None))), ["conv2d"]);
        assert_eq!(fused(|m, x, _| m.linear("linear", x).silu()), ["matmul"]);
        assert_eq!(fused(|m, x, _| m.linear("wide", x).gate(Function::Gelu)), ["matmul"]);
        assert_eq!(fused(|m, x, _| m.linear("linear", x) + x), ["matmul"]);
        assert_eq!(fused(|m, x, _| x + m.conv("conv", x)), ["conv2d"]);
        assert_eq!(
            fused(|m, x, _| m.group_norm("norm", x, 2, 1e-5).silu()),
            ["group_norm_stats", "group_norm_merge", "group_norm"]
        );
        let selected = fused(|m, x, step| {
            m.conv("conv", x) + m.builder().input("table", TensorType::real([5, 8])).row(step)
        });
        assert_eq!(selected, ["conv2d"]);
        let per_item = fused(|m, x, _| {
            m.conv("conv", x) + m.builder().input("items", TensorType::real([2, 8]))
        });
        assert_eq!(per_item, ["conv2d"]);
    }

    #[test]
    fn a_tensor_that_is_read_twice_is_stored() {
        let twice = fused(|m, x, _| {
            let h = m.linear("linear", x);
            h.silu() + h
        });
        assert_eq!(twice, ["matmul", "activation", "binary"]);
        let after_residual = fused(|m, x, _| (m.linear("linear", x) + x).silu());
        assert_eq!(after_residual, ["matmul", "activation"]);
    }
}
