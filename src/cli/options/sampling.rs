//! Options for the sampler and its noise.

use super::samplers::{Sampler, schedulers, spacings};
use crate::cli::latents::Latents;
use clap::Args;
use croquis::diffusion::{Model, Request};
use croquis::{Error, ErrorKind, RandomKind, Result, Spacing};
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

/// Options for the sampler.
#[derive(Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingOptions {
    /// Sampling steps [default: the model's]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    steps: Option<usize>,
    /// Guidance scale (CFG): how closely the picture follows the prompt; 1 is no guidance [default:
    /// the model's]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    guidance_scale: Option<f32>,
    /// The share of the guided output that gets the contrast of the conditional one, from 0 to 1; it
    /// counters the overexposure of a high guidance scale
    #[arg(long, value_name = "F", default_value_t = 0.0, allow_negative_numbers = true)]
    guidance_rescale: f32,
    /// The sampler, also by its name in diffusers, AUTOMATIC1111 or ComfyUI [default: the model's]
    #[arg(long, value_name = "NAME", value_parser = schedulers())]
    scheduler: Option<Sampler>,
    /// The spacing of the sampler's steps [default: the model's]
    #[arg(long, value_name = "NAME", value_parser = spacings())]
    spacing: Option<Spacing>,
    /// The random part of the samplers ddim (η) and tcd (γ), from 0 to 1 [default: 0, and 0.3 of tcd]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    eta: Option<f32>,
}

impl SamplingOptions {
    /// Sets the options in a request.
    pub fn apply(&self, request: &mut Request) {
        request.steps = self.steps;
        request.guidance_scale = self.guidance_scale;
        request.guidance_rescale = self.guidance_rescale;
        request.eta = self.eta;
        request.scheduler = self.scheduler.map(|sampler| sampler.kind);
        request.spacing = self.spacing.or(self.scheduler.and_then(|sampler| sampler.spacing));
    }
}

/// Options for the noise, and so for the number of pictures, which differ by it.
#[derive(Args)]
#[command(next_help_heading = "Sampling")]
pub struct NoiseOptions {
    /// The seed of the noise; the same seed gives the same picture; -1 is a random one [default:
    /// random]
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = parse_seed)]
    seed: Option<i128>,
    /// The number of pictures, with consecutive seeds
    #[arg(short = 'b', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=9999))]
    pub count: u32,
    /// The noise generator: `torch` (PyTorch on a CPU, as in diffusers) or `philox` (PyTorch on
    /// CUDA, as in AUTOMATIC1111)
    #[arg(long, value_name = "NAME", default_value_t = RandomKind::Torch)]
    rng: RandomKind,
    /// Initial noise in place of the seed's: a safetensors file with a tensor `latents` [C, h, w]
    /// of unit variance
    #[arg(long, value_name = "FILE")]
    latents: Option<PathBuf>,
}

/// Parses a seed; -1 stands for a random one.
fn parse_seed(text: &str) -> Result<i128, String> {
    match text.parse() {
        Ok(seed) if (-1..=i128::from(u64::MAX)).contains(&seed) => Ok(seed),
        _ => Err(format!("expected a number up to {}, or -1 for a random one", u64::MAX)),
    }
}

impl NoiseOptions {
    /// Sets the generator and the initial noise in a request whose pictures are set already; the
    /// noise determines the size where nothing else does.
    pub fn apply(&self, model: &Model, request: &mut Request) -> Result<()> {
        request.random = self.rng;
        match &self.latents {
            Some(file) => Latents::open(file)?.apply(model, request),
            None => Ok(()),
        }
    }

    /// The seeds of all pictures, counted up from the given or a random one.
    pub fn seeds(&self) -> Result<Vec<u64>> {
        // PyTorch's generator uses 32 bits; the standard library seeds its hash maps randomly.
        let random = || RandomState::new().hash_one(std::process::id()) & 0xffff_ffff;
        let given = self.seed.and_then(|seed| u64::try_from(seed).ok());
        let first = given.unwrap_or_else(random);
        let seeds = (0..u64::from(self.count)).map(|index| first.checked_add(index));
        seeds.collect::<Option<Vec<_>>>().ok_or_else(|| {
            let (count, last) = (self.count, u64::MAX);
            let message =
                format!("--seed: expected {count} seeds up to {last}, got the first {first}");
            Error::new(ErrorKind::Argument, message)
        })
    }
}
