//! `croquis plan`: prints the kernels of a picture and their cost, without running them.

use super::options::{GpuOptions, ModelOptions, PictureOptions, SamplingOptions};
use super::terminal::print;
use croquis::internal::graph::Plan;
use croquis::internal::kernels::Target;
use croquis::{Request, Result, Storage};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The arguments of `croquis plan`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    picture: PictureOptions,
    #[command(flatten)]
    sampling: SamplingOptions,
    #[command(flatten)]
    gpu: GpuOptions,
    /// The limits to plan for: those of the device, or of a browser or a phone, which need no
    /// device
    #[arg(long, value_enum, default_value_t = Limits::Adapter)]
    limits: Limits,
}

const EXAMPLES: &str = "\
Examples:
  croquis plan --steps 4
  croquis plan -m stable-diffusion-v1-5 -W 512 -H 512 --limits webgpu";

/// The limits to plan for.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Limits {
    /// The device's limits
    Adapter,
    /// WebGPU's defaults, as in a browser
    Webgpu,
    /// Like a Qualcomm Adreno GPU
    Adreno,
}

/// Prints the plan of every phase and a summary.
pub fn run(arguments: &Arguments) -> Result<()> {
    let model = arguments.model.open(arguments.gpu.storage)?;
    let mut request = Request::new("");
    arguments.picture.apply(&mut request);
    arguments.sampling.apply(&mut request);
    let plans = model.plans(&request, &target(arguments)?)?;
    for (phase, plan) in &plans {
        print(format!("== {phase}\n{plan}"))?;
    }
    print(summary(&plans))
}

/// The target of the plan; only `--limits adapter` opens a device.
fn target(arguments: &Arguments) -> Result<Target> {
    // By default the storage type of a GPU without 16-bit arithmetic in shaders.
    let storage = arguments.gpu.storage.storage().unwrap_or(Storage::Packed);
    Ok(match arguments.limits {
        Limits::Adapter => arguments.gpu.open()?.target().clone(),
        Limits::Webgpu => Target::webgpu(storage),
        Limits::Adreno => Target::adreno(storage),
    })
}

/// A table of the phases, and the total cost of one picture.
fn summary(plans: &[(&'static str, Arc<Plan>)]) -> String {
    let steps = plans.iter().find_map(|(_, plan)| {
        let timesteps = plan.input("timesteps")?;
        Some(plan.inputs[timesteps].tensor.shape.len())
    });
    let mut text = format!(
        "== summary\n{:<13} {:>5} {:>11} {:>10} {:>10} {:>11} {:>15}\n",
        "phase", "runs", "dispatches", "GFLOP", "GB moved", "weights MB", "activations MB"
    );
    let (mut flops, mut moved, mut activations) = (0.0, 0.0, 0.0);
    // The phases of the denoiser share weights; each component counts its own.
    let mut weights = BTreeMap::new();
    for (phase, plan) in plans {
        let runs = if *phase == "step" { steps.unwrap_or(1) } else { 1 };
        let (gflop, gigabytes) = (plan.flops() as f64 / 1e9, plan.moved_bytes() as f64 / 1e9);
        text += &format!(
            "{phase:<13} {runs:>5} {:>11} {gflop:>10.3} {gigabytes:>10.3} {:>11.2} {:>15.2}\n",
            plan.dispatches().count(),
            plan.weight_bytes() as f64 / 1e6,
            plan.activation_bytes() as f64 / 1e6,
        );
        flops += gflop * runs as f64;
        moved += gigabytes * runs as f64;
        activations += plan.activation_bytes() as f64 / 1e6;
        let component = if *phase == "step" { "prepare" } else { phase };
        for weight in &plan.weights {
            weights.insert((component, weight.key()), weight.bytes());
        }
    }
    let weights = weights.values().sum::<u64>() as f64 / 1e6;
    text + &format!(
        "one picture: {flops:.3} GFLOP, {moved:.3} GB moved; memory when all phases stay loaded: \
         {:.2} MB, of which weights {weights:.2} MB",
        weights + activations
    )
}
