//! From a picture to a picture: `cargo run --release --example img2img PICTURE.png "a blue heart"`
//! repaints a PNG whose sides are multiples of 32 pixels. Without arguments it draws a red circle
//! and makes a heart of it. Writes img2img.png.

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
    // Of 20 steps the last 0.7 · 20 = 14 are taken, from the picture with noise over it: the
    // smaller the strength, the more of the picture stays.
    let generated = draw(&Request::new(prompt).seed(42).image(picture, 0.7))?;
    generated.picture.save("img2img.png", &[])?;
    println!("img2img.png");
    Ok(())
}
