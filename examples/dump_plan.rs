//! Prints a model's plans without running them and without a GPU:
//! `cargo run --example dump_plan [MODEL_FOLDER] [PIXELS]` lists every dispatch of every phase with
//! its cost, and the total memory, for a GPU with WebGPU's default limits.

use croquis::Storage;
use croquis::diffusion::{Model, Request};
use croquis::files::ModelFiles;
use croquis::internal::graph::Plan;
use croquis::internal::kernels::Target;
use std::sync::Arc;

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

    // Only names and shapes of the weights are read. A Gpu's own target() plans for that GPU.
    let model = Model::open(&files)?;
    let plans = model.plans(&request, &Target::webgpu(Storage::Packed))?;
    for (name, plan) in &plans {
        println!("== {name}\n{plan}");
    }
    let steps = model.defaults().steps;
    let flops = |(name, plan): &(&str, Arc<Plan>)| {
        let times = if *name == "step" { steps } else { 1 };
        plan.flops() * times as u64
    };
    let total: u64 = plans.iter().map(flops).sum();
    println!("a picture of {steps} steps: {:.2} GFLOP", total as f64 / 1e9);
    Ok(())
}
