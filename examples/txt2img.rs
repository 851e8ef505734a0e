//! The shortest text-to-image program: `cargo run --release --example txt2img "a blue heart"`.

use croquis::diffusion::{Diffusion, Request};
use std::ops::ControlFlow;

fn main() -> croquis::Result<()> {
    let prompt = std::env::args().nth(1).unwrap_or_else(|| "a red apple".into());
    let mut diffusion = Diffusion::embedded()?;
    println!("drawing {prompt:?} on {}", diffusion.gpu().summary());
    let generated =
        diffusion.generate_with_blocking(&Request::new(prompt).seed(42), |progress| {
            println!("step {} of {}: {:?}", progress.step, progress.steps, progress.time);
            ControlFlow::Continue(())
        })?;
    println!("{:#?}", generated.timings);
    generated.picture.save("txt2img.png", &[])?;
    println!("txt2img.png");
    Ok(())
}
