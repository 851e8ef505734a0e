//! Options for a second pass at a larger size.

use croquis::diffusion::{Diffusion, Generated, Hires, Request, Upscaler};
use croquis::{Gpu, Result};
use std::path::{Path, PathBuf};

/// Options for a second pass at a larger size.
#[derive(clap::Args)]
#[command(next_help_heading = "Second pass (hires fix)")]
pub struct HiresOptions {
    /// Enlarges the picture by this factor and draws over it at the larger size
    #[arg(long, value_name = "F", conflicts_with = "image", allow_negative_numbers = true)]
    hires: Option<f32>,
    /// Denoising strength of the second pass: 0 keeps the enlarged picture, 1 ignores it
    #[arg(
        long,
        value_name = "F",
        requires = "hires",
        default_value_t = 0.5,
        allow_negative_numbers = true
    )]
    hires_strength: f32,
    /// Steps of the second pass, of which the part --hires-strength is run [default: those of the
    /// first]
    #[arg(long, value_name = "N", requires = "hires")]
    hires_steps: Option<usize>,
    /// The upscaler between the passes: a .safetensors file, as of `croquis upscale` [default: Lanczos'
    /// filter]
    #[arg(long, value_name = "FILE", requires = "hires")]
    upscaler: Option<PathBuf>,
}

impl HiresOptions {
    /// Sets the second pass in a request.
    pub fn apply(&self, request: &mut Request) {
        let (strength, steps) = (self.hires_strength, self.hires_steps);
        request.hires = self.hires.map(|scale| Hires { scale, strength, steps });
    }

    /// Opens the upscaler, if there is one, for a device.
    pub fn open(&self, gpu: &Gpu) -> Result<Option<Upscaler>> {
        let open = |file| Upscaler::open(gpu, file).map_err(|error| error.context("--upscaler"));
        self.upscaler.as_ref().map(open).transpose()
    }
}

/// The settings of the second pass for the PNG's parameters, under the names of AUTOMATIC1111's web UI;
/// none if there was none.
pub fn noted(
    diffusion: &Diffusion,
    request: &Request,
    generated: &Generated,
) -> Vec<(&'static str, String)> {
    let (Some(hires), Some(_)) = (&request.hires, generated.first_size) else { return Vec::new() };
    let upscaler = diffusion.upscaler().map_or("Lanczos".into(), |upscaler| {
        let file = Path::new(upscaler.name());
        file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    });
    let steps = hires.steps.map(|steps| ("Hires steps", steps.to_string()));
    let mut settings = vec![
        ("Denoising strength", hires.strength.to_string()),
        ("Hires upscale", hires.scale.to_string()),
    ];
    settings.extend(steps);
    settings.push(("Hires upscaler", upscaler));
    settings
}
