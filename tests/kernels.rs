//! Every kernel against its f64 reference, on every adapter and storage type.

mod common;

use croquis::gpu::{Gpu, GpuWeights};
use croquis::graph::{Graph, Node, Source};
use croquis::kernels::{Case, HostTensor, Op};
use croquis::shape::{DType, Storage};

/// The relative error that a storage type is allowed: f32 arithmetic over at most a few thousand
/// terms, or a rounding to 11 bits at the end.
fn tolerance(storage: Storage) -> f64 {
    if storage == Storage::F32 { 1e-5 } else { 1e-3 }
}

/// The case as a graph of one operation.
fn graph(case: &Case) -> Graph {
    let mut graph = Graph::default();
    let mut node = |source, tensor| {
        graph.nodes.push(Node { source, tensor, path: String::new() });
        graph.nodes.len() - 1
    };
    let types = case.types();
    let operands: Vec<_> = types
        .iter()
        .enumerate()
        .map(|(index, tensor)| tensor.map(|tensor| node(Source::Input(index.to_string()), tensor)))
        .collect();
    let output = case.op.kernel().infer(&types).unwrap_or_else(|mismatch| panic!("{case:?}: {mismatch:?}"));
    let id = node(Source::Op { op: case.op.clone(), operands }, output);
    graph.outputs.push(("out".into(), id));
    graph
}

/// The result of a case on a device; integers are exact in f64.
fn run(gpu: &Gpu, case: &Case, values: &[Option<HostTensor>]) -> Vec<f64> {
    let graph = graph(case);
    let program = common::program(gpu, &graph, &GpuWeights::default(), &[]);
    for (index, value) in values.iter().enumerate() {
        if let Some(value) = value {
            let values: Vec<_> = value.data.iter().map(|v| *v as f32).collect();
            program.write(&index.to_string(), &values).unwrap();
        }
    }
    program.run();
    if program.plan().outputs[0].tensor.dtype == DType::U32 {
        return gpu.block_on(program.read_u32("out")).unwrap().into_iter().map(f64::from).collect();
    }
    gpu.block_on(program.read("out")).unwrap().into_iter().map(f64::from).collect()
}

fn expected(case: &Case, values: &[Option<HostTensor>]) -> HostTensor {
    let operands: Vec<_> = values.iter().map(Option::as_ref).collect();
    case.op.kernel().reference(&operands)
}

/// What is wrong with a result, if anything.
fn compare(case: &Case, got: &[f64], expected: &HostTensor, storage: Storage) -> Option<String> {
    let Ok(output) = case.op.kernel().infer(&case.types()) else { return Some("no shape".into()) };
    if output.shape != expected.shape {
        return Some(format!("shape {} but reference {}", output.shape, expected.shape));
    }
    if output.dtype == DType::U32 {
        let bytes = |value: f64| (value as u32).to_le_bytes();
        let far = got.iter().zip(&expected.data).position(|(got, expected)| {
            bytes(*got).into_iter().zip(bytes(*expected)).any(|(a, b)| a.abs_diff(b) > 1)
        });
        return far.map(|at| format!("pixel {at}: expected {:x}", expected.data[at] as u32));
    }
    let error = common::relative_l2(got, &expected.data);
    (error > tolerance(storage)).then(|| format!("relative error {error:.2e}"))
}

#[test]
fn every_kernel_agrees_with_its_reference() {
    let mut failures = Vec::new();
    for (seed, case) in Op::cases().iter().enumerate() {
        let values = case.values(seed as u64);
        let expected = expected(case, &values);
        for gpu in common::gpus() {
            let got = run(gpu, case, &values);
            if let Some(problem) = compare(case, &got, &expected, gpu.target().storage) {
                let types: Vec<_> = case.types().iter().map(|t| t.map(|t| t.shape)).collect();
                failures.push(format!("{}: {:?} {types:?}: {problem}", common::name(gpu), case.op));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_comparison_detects_a_wrong_answer() {
    for (seed, case) in Op::cases().iter().enumerate() {
        let values = case.values(seed as u64);
        let mut reference = expected(case, &values);
        let right = reference.data.clone();
        assert_eq!(compare(case, &right, &reference, Storage::F32), None, "{:?}", case.op);
        let scale = reference.data.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
        let integer = reference.data.iter().any(|value| *value > 1e9);
        for value in &mut reference.data {
            *value += if integer { -2.0 } else { 0.01 * scale };
        }
        assert!(compare(case, &right, &reference, Storage::F16).is_some(), "{:?}", case.op);
    }
}
