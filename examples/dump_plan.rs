//! What would run, without running it: `cargo run --example dump_plan [MODEL_FOLDER] [PIXELS]`
//! prints every dispatch of every phase with its cost, and the memory in all.

use croquis::diffusion::{Diffusion, ModelFiles, Request};
use croquis::gpu::Gpu;

fn main() -> croquis::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let files = match arguments.next() {
        Some(folder) => ModelFiles::folder(folder)?,
        None => ModelFiles::embedded(),
    };
    let mut request = Request::new("");
    if let Some(pixels) = arguments.next().and_then(|pixels| pixels.parse().ok()) {
        request = request.size(pixels, pixels);
    }

    // The device says which kernels and limits to plan for. No weight is read, nothing is compiled.
    let gpu = Gpu::open_blocking(&Default::default())?;
    let diffusion = Diffusion::open(&gpu, &files)?;
    let plans = diffusion.plans(&request)?;
    for (name, plan) in &plans {
        println!("== {name}\n{plan}");
    }
    let steps = diffusion.defaults().steps;
    let flops = |(name, plan): &(&str, croquis::graph::Plan)| {
        let times = if *name == "step" { steps } else { 1 };
        plan.flops() * times as u64
    };
    let total: u64 = plans.iter().map(flops).sum();
    println!("a picture of {steps} steps: {:.2} GFLOP", total as f64 / 1e9);
    Ok(())
}
