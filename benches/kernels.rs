//! Each kernel alone at shapes of models: time, GFLOP/s, GB/s and the name of the variant.
//! `cargo bench --bench kernels -- --help` lists the options.
//!
//! Times are medians, of the GPU's timestamps if it has them, else of the wall clock around repeated
//! runs. GB/s counts every operand once, however often a kernel reads it.

mod common;
mod shapes;

use common::{Options, median};
use croquis::gpu::{Gpu, GpuWeights, Program};
use croquis::internal::graph::{Dispatch, Plan, single_op, variant_plans};
use croquis::internal::kernels::Case;
use croquis::{ErrorKind, Result};
use shapes::Shape;
use std::time::{Duration, Instant};

/// The time for one variant of a kernel at one shape, without the first runs.
const BUDGET: Duration = Duration::from_millis(500);

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
        let plans = if options.variants {
            variant_plans(&shape.case, gpu.target())?
        } else {
            vec![Plan::new(&single_op(&shape.case)?, gpu.target())?]
        };
        for (index, plan) in plans.into_iter().enumerate() {
            match measure(&gpu, &shape.case, plan) {
                Ok((dispatch, time)) => {
                    let default = index == 0;
                    report(&options, &gpu, shape, &dispatch, default, time, timer);
                }
                Err(error) if error.kind() == ErrorKind::Memory => {
                    eprintln!("{} {}: {error}", shape.case.op.name(), shape.label);
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// The dispatch of a case's plan and its median time.
fn measure(gpu: &Gpu, case: &Case, plan: Plan) -> Result<(Dispatch, Duration)> {
    let dispatch = plan.dispatches().next().cloned().expect("a case is a dispatch");
    let values = case.values(1);
    let mut weights = GpuWeights::default();
    gpu.block_on(weights.upload(gpu, &case.weights(&values)?, &plan.weights))?;
    let program = gpu.block_on(Program::new(gpu, plan, &weights, &[]))?;
    case.write_inputs(&values, |name, values| program.write(name, values))?;
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

/// Prints the figures of one variant.
fn report(
    o: &Options,
    gpu: &Gpu,
    shape: &Shape,
    dispatch: &Dispatch,
    default: bool,
    time: Duration,
    timer: &str,
) {
    let seconds = time.as_secs_f64().max(1e-9);
    let gflops = dispatch.launch.flops as f64 / seconds / 1e9;
    let gbs = dispatch.bytes as f64 / seconds / 1e9;
    let (kernel, label, variant) = (dispatch.shader.name, &shape.label, &dispatch.launch.variant);
    if o.json {
        let line = serde_json::json!({
            "bench": "kernels", "device": gpu.summary().name, "driver": gpu.summary().driver,
            "storage": gpu.target().storage.name(), "timer": timer, "kernel": kernel,
            "shape": label, "variant": variant, "default": default, "seconds": seconds, "gflops": gflops, "gbs": gbs,
        });
        println!("{line}");
    } else {
        let us = seconds * 1e6;
        let star = if o.variants && default { " *" } else { "" };
        println!("{kernel:<18} {label:<34} {us:>10.1} {gflops:>9.2} {gbs:>8.2}  {variant}{star}");
    }
}
