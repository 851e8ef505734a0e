//! Image to image: `cargo run --release --example img2img PICTURE.png "a blue heart"` repaints a
//! PNG whose sides are multiples of 32 pixels. Without arguments it generates a red circle and
//! turns it into a heart. Writes img2img.png.

use croquis::diffusion::{Diffusion, Request};
use croquis::picture::Picture;
use std::ops::ControlFlow;

fn main() -> croquis::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (file, prompt) = (arguments.next(), arguments.next());
    let prompt = prompt.unwrap_or_else(|| "a red heart".into());
    let mut diffusion = Diffusion::embedded()?;
    let mut draw = |request: &Request| {
        diffusion.generate_with_blocking(request, |progress| {
            println!("step {} of {}", progress.step, progress.steps);
            ControlFlow::Continue(())
        })
    };

    let picture = match file {
        Some(file) => Picture::open(file)?,
        None => draw(&Request::new("a red circle").seed(1))?.picture,
    };
    // Strength 0.7 runs the last 14 of 20 steps, from the picture with noise added: the smaller the
    // strength, the more of the picture stays.
    let generated = draw(&Request::new(prompt).seed(42).image(picture, 0.7))?;
    generated.picture.save("img2img.png", &[])?;
    println!("img2img.png");
    Ok(())
}
