//! Step-by-step generation with previews and an early end:
//! `cargo run --release --example preview "a tree" 2.5` stops after 2.5 seconds of sampling and
//! keeps the picture so far; without a number it finishes. Writes preview-STEP.png and preview.png.

use croquis::diffusion::{Diffusion, Request};
use std::time::{Duration, Instant};

fn main() -> croquis::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let prompt = arguments.next().unwrap_or_else(|| "a tree".into());
    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok());
    let limit = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or(Duration::MAX);

    let mut diffusion = Diffusion::embedded()?;
    let gpu = diffusion.gpu().clone();
    // Every call is async, for browsers; block_on waits for the GPU without a runtime.
    gpu.block_on(async {
        let mut run = diffusion.start(&Request::new(prompt).seed(42)).await?;
        let started = Instant::now();
        while let Some(progress) = run.step().await? {
            println!("step {} of {}: {:?}", progress.step, progress.steps, progress.time);
            if progress.step % 5 == 0 {
                // A decoded preview costs about a step of a small model, so only every fifth step
                // has one.
                run.preview().await?.save(format!("preview-{:02}.png", progress.step), &[])?;
            }
            if started.elapsed() > limit {
                println!("stopped after step {}", progress.step);
                break;
            }
        }
        // To discard the picture, drop the run instead.
        let generated = run.finish().await?;
        generated.picture.save("preview.png", &[])?;
        println!("preview.png");
        Ok(())
    })
}
