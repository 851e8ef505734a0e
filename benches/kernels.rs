//! Every kernel by itself at shapes that models have: time, GFLOP/s and GB/s, and which variant
//! the planner chose. `cargo bench --bench kernels -- --help` lists the options.
//!
//! Times are medians, from the GPU's own timestamps where it has them and else of the wall clock
//! around repeated runs. GB/s counts every operand once, however often a kernel reads it.

mod common;
mod shapes;

use common::{Options, median};
use croquis::gpu::{Gpu, GpuWeights, Program};
use croquis::graph::{Dispatch, Graph, Node, Plan, Source};
use croquis::kernels::{Case, Constant};
use croquis::{ErrorKind, Result};
use shapes::Shape;
use std::time::{Duration, Instant};

/// What one kernel at one shape may take in all, but for the first runs.
const BUDGET: Duration = Duration::from_millis(500);

/// The constants that tell one variant of a kernel from another.
const TILE: [&str; 10] =
    ["STAGED", "GROUP", "GROUP_X", "GROUP_Y", "ROWS", "QUADS", "SLAB", "LANES", "SLICE", "KEYS"];

fn main() -> Result<()> {
    let options = Options::read();
    let gpu = options.gpu();
    let timer = if gpu.has_timestamps() { "timestamps" } else { "wall clock" };
    if !options.json {
        println!("{}, {}, {timer}", gpu.summary(), gpu.target().storage);
        println!(
            "{:<18} {:<34} {:>10} {:>9} {:>8}  variant",
            "kernel", "shape", "µs", "GFLOP/s", "GB/s"
        );
    }
    let wanted = |shape: &Shape| {
        let (kernel, label) = (shape.case.op.name(), &shape.label);
        kernel.contains(&options.filter) || label.contains(&options.filter)
    };
    for shape in shapes::shapes(options.large).iter().filter(|shape| wanted(shape)) {
        match measure(&gpu, &shape.case) {
            Ok((dispatch, time)) => report(&options, &gpu, shape, &dispatch, time, timer),
            Err(error) if error.kind() == ErrorKind::Memory => {
                eprintln!("{} {}: {error}", shape.case.op.name(), shape.label);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The dispatch of a case and its median time.
fn measure(gpu: &Gpu, case: &Case) -> Result<(Dispatch, Duration)> {
    let plan = Plan::new(&graph(case), gpu.target())?;
    let dispatch = plan.dispatches().next().cloned().expect("a case is a dispatch");
    let program = gpu.block_on(Program::new(gpu, plan, &GpuWeights::default(), &[]))?;
    for (index, value) in case.values(1).iter().enumerate() {
        if let Some(value) = value {
            let values: Vec<_> = value.data.iter().map(|v| *v as f32).collect();
            program.write(&index.to_string(), &values)?;
        }
    }
    // The first run pages memory in, the second tells how many more there is time for.
    once(gpu, &program, 1)?;
    let first = once(gpu, &program, 1)?;
    let fit = (BUDGET.as_secs_f64() / first.as_secs_f64().max(1e-6)) as usize;
    // A wall clock sees the submission too: short runs are timed many at a time.
    let repeat = if gpu.has_timestamps() { 1 } else { (fit / 10).clamp(1, 100) };
    let samples = (fit / repeat).clamp(3, 50);
    let times = (0..samples).map(|_| once(gpu, &program, repeat)).collect::<Result<_>>()?;
    Ok((dispatch, median(times)))
}

/// The time of one run, the mean of `repeat` in a row.
fn once(gpu: &Gpu, program: &Program, repeat: usize) -> Result<Duration> {
    if gpu.has_timestamps() {
        return Ok(gpu.block_on(program.time_dispatches())?[0].time);
    }
    let started = Instant::now();
    (0..repeat).for_each(|_| program.run());
    gpu.block_on(gpu.finished())?;
    Ok(started.elapsed() / repeat as u32)
}

/// The case as a graph of one operation on inputs named 0, 1, ….
fn graph(case: &Case) -> Graph {
    let mut graph = Graph::default();
    let mut node = |source, tensor| {
        graph.nodes.push(Node { source, tensor, path: String::new() });
        graph.nodes.len() - 1
    };
    let types = case.types();
    let inputs = types.iter().enumerate();
    let operands: Vec<_> = inputs
        .map(|(index, tensor)| tensor.map(|tensor| node(Source::Input(index.to_string()), tensor)))
        .collect();
    let output = case.op.kernel().infer(&types).unwrap_or_else(|mismatch| panic!("{}", mismatch.0));
    let id = node(Source::Op { op: case.op.clone(), operands }, output);
    graph.outputs.push(("out".into(), id));
    graph
}

fn report(o: &Options, gpu: &Gpu, shape: &Shape, dispatch: &Dispatch, time: Duration, timer: &str) {
    let seconds = time.as_secs_f64().max(1e-9);
    let gflops = dispatch.launch.flops as f64 / seconds / 1e9;
    let gbs = dispatch.bytes as f64 / seconds / 1e9;
    let (kernel, label, variant) = (dispatch.shader.name, &shape.label, variant(dispatch));
    if o.json {
        let line = serde_json::json!({
            "bench": "kernels", "device": gpu.summary().name, "driver": gpu.summary().driver,
            "storage": gpu.target().storage.name(), "timer": timer, "kernel": kernel,
            "shape": label, "variant": variant, "seconds": seconds, "gflops": gflops, "gbs": gbs,
        });
        println!("{line}");
    } else {
        let us = seconds * 1e6;
        println!("{kernel:<18} {label:<34} {us:>10.1} {gflops:>9.2} {gbs:>8.2}  {variant}");
    }
}

/// The tile and the inner loop, as the header of the shader has them.
fn variant(dispatch: &Dispatch) -> String {
    let loops = dispatch.launch.libs.iter().map(|lib| lib.name.to_string());
    let mut words: Vec<_> = loops.filter(|name| name.starts_with("gemm_")).collect();
    words.extend(dispatch.launch.constants.iter().filter(|(name, _)| TILE.contains(name)).map(
        |(name, value)| match value {
            Constant::U32(value) => format!("{}={value}", name.to_lowercase()),
            Constant::Bool(value) => format!("{}={value}", name.to_lowercase()),
        },
    ));
    words.join(" ")
}
