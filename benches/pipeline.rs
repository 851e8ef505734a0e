//! A picture by the embedded model from prompt to pixels: each phase of the first picture, which
//! uploads and compiles, and medians over more of them. `cargo bench --bench pipeline -- --help`
//! lists the options.

mod common;

use common::{Options, median};
use croquis::Result;
use croquis::diffusion::{Diffusion, Request};
use croquis::files::ModelFiles;
use std::ops::ControlFlow;

/// Pictures after the first.
const PICTURES: usize = 3;

fn main() -> Result<()> {
    let options = Options::read();
    if !"pipeline".contains(&options.filter) {
        return Ok(());
    }
    let gpu = options.gpu();
    let mut diffusion = Diffusion::open(&gpu, &ModelFiles::embedded())?;
    let request = Request::new("a red apple").seed(42);
    let plans = diffusion.plans(&request)?;

    let (mut steps, mut firsts, mut later) = (Vec::new(), Vec::new(), [(); 3].map(|()| Vec::new()));
    let mut peak_bytes = 0;
    for picture in 0..=PICTURES {
        let mut times = Vec::new();
        let generated = diffusion.generate_with_blocking(&request, |progress| {
            times.push(progress.time);
            ControlFlow::Continue(())
        })?;
        peak_bytes = generated.peak_bytes;
        let timings = generated.timings;
        let phases = [timings.text, timings.prepare, timings.decode];
        if picture == 0 {
            firsts.extend(phases);
            firsts.insert(2, times[0]);
        } else {
            steps.extend(times);
            later.iter_mut().zip(phases).for_each(|(times, time)| times.push(time));
        }
    }
    let [text, prepare, decode] = later.map(median);
    let medians = [text, prepare, median(steps), decode];
    let phases = ["text_encoder", "prepare", "step", "decoder"];
    let rows = phases.into_iter().zip(firsts).zip(medians);

    let storage = gpu.target().storage;
    if !options.json {
        println!("{}, {storage}: {} with defaults, in ms", gpu.summary(), diffusion.name());
        println!(
            "{:<14} {:>9} {:>9} {:>11} {:>9} {:>9}",
            "phase", "first", "median", "dispatches", "GFLOP", "GFLOP/s"
        );
    }
    for ((phase, first), time) in rows {
        let plan = plans.iter().find(|(name, _)| *name == phase).map(|(_, plan)| plan);
        let (count, flops) = plan.map_or((0, 0), |plan| (plan.dispatches().count(), plan.flops()));
        let (first, seconds) = (first.as_secs_f64(), time.as_secs_f64().max(1e-9));
        let gflops = flops as f64 / seconds / 1e9;
        if options.json {
            let line = serde_json::json!({
                "bench": "pipeline", "model": diffusion.name(), "device": gpu.summary().name,
                "driver": gpu.summary().driver, "storage": storage.name(), "phase": phase,
                "first_seconds": first, "seconds": seconds, "dispatches": count, "flops": flops,
                "gflops": gflops, "peak_bytes": peak_bytes,
            });
            println!("{line}");
        } else {
            let (first, ms, work) = (first * 1e3, seconds * 1e3, flops as f64 / 1e9);
            println!("{phase:<14} {first:>9.1} {ms:>9.1} {count:>11} {work:>9.3} {gflops:>9.2}");
        }
    }
    if !options.json {
        println!("peak memory by the plans: {:.1} MB", peak_bytes as f64 / 1e6);
    }
    Ok(())
}
