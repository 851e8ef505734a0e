//! `croquis upscale`: enlarges a picture by an upscaling network.

use super::options::{GpuOptions, parse_tiling};
use super::output::{check, save_plain};
use super::progress::Meter;
use super::terminal::{print, print_json, say};
use croquis::diffusion::{Tiling, Upscaler};
use croquis::picture::Picture;
use croquis::{Error, Result};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

/// The arguments of `croquis upscale`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The picture to enlarge
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write; an existing one is replaced
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// The upscaler: a .safetensors file of ESRGAN, Real-ESRGAN or Real-ESRGAN's compact network
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    /// Tiles of the picture: `auto`, `never`, or a tile's longest side in pixels
    #[arg(long, alias = "tile", value_name = "auto|never|N", value_parser = parse_tiling, default_value = "auto")]
    tiles: Tiling,
    #[command(flatten)]
    gpu: GpuOptions,
    /// Print one line of JSON: file, sizes, tiles, times
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  croquis upscale small.png large.png -m RealESRGAN_x4plus.safetensors
  croquis upscale photo.png large.png -m 4x-UltraSharp.safetensors --tiles 256 --memory 2G";

/// Enlarges the picture and writes it.
pub fn run(arguments: &Arguments) -> Result<()> {
    let started = Instant::now();
    check(&arguments.output).map_err(|error| error.context("OUT"))?;
    let picture = Picture::open(&arguments.input)?;
    let gpu = arguments.gpu.open()?;
    let option = |name: &'static str| move |error: Error| error.context(name);
    let mut upscaler = Upscaler::open(&gpu, &arguments.model).map_err(option("--model"))?;
    upscaler.set_tiling(arguments.tiles).map_err(option("--tiles"))?;
    if let Some(bytes) = arguments.gpu.memory {
        upscaler.set_memory_budget(Some(bytes));
    }
    let meter = Meter::waiting("loading weights and compiling kernels");
    let mut tiles = 0;
    let upscaled = upscaler.upscale_with_blocking(&picture, |progress| {
        meter.tile(progress);
        tiles = progress.tiles;
        ControlFlow::Continue(())
    });
    drop(meter);
    let upscaled = upscaled?;
    save_plain(&upscaled, &arguments.output)?;
    let seconds = started.elapsed().as_secs_f64();
    let size = |picture: &Picture| [picture.width(), picture.height()];
    let ([width, height], file) = (size(&upscaled), arguments.output.display());
    say(format!(
        "{file}: {width}x{height} pixels, {}x by {}, {tiles} tile{} in {seconds:.2} s",
        upscaler.scale(),
        upscaler.architecture(),
        if tiles == 1 { "" } else { "s" },
    ));
    if !arguments.json {
        return print(file);
    }
    print_json(&json!({
        "file": file.to_string(),
        "input_size": size(&picture),
        "size": size(&upscaled),
        "scale": upscaler.scale(),
        "architecture": upscaler.architecture(),
        "tiles": tiles,
        "device": gpu.summary().name,
        "storage": gpu.target().storage.name(),
        "seconds": seconds,
    }))
}
