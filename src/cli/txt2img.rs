//! `croquis txt2img`: generates pictures from a prompt and writes PNG files.

use super::additions::AdditionOptions;
use super::latents::Latents;
use super::options::{GpuOptions, ModelOptions, short_name};
use super::output;
use super::parameters::parameters;
use super::progress::Meter;
use super::prompts::PromptOptions;
use super::sources::SourceOptions;
use super::terminal::{print, print_json, say};
use croquis::RandomKind;
use croquis::diffusion::{Diffusion, Generated, Preview, Request};
use croquis::{Error, ErrorKind, Result};
use serde_json::json;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The arguments of `croquis txt2img`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The prompt: what the picture should show
    prompt: String,
    /// The PNG file to write; an existing one is replaced
    #[arg(short, long, value_name = "FILE", default_value = "picture.png")]
    output: PathBuf,
    /// The seed of the noise; the same seed gives the same picture [default: random]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The number of pictures, with consecutive seeds
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=9999))]
    count: u32,
    /// Initial noise in place of the seed's: a safetensors file with a tensor `latents` [C, h, w]
    /// of unit variance
    #[arg(long, value_name = "FILE")]
    latents: Option<PathBuf>,
    /// The noise generator: `torch` (PyTorch on a CPU, as in diffusers) or `philox` (PyTorch on
    /// CUDA, as in AUTOMATIC1111)
    #[arg(long, value_name = "NAME", default_value_t = RandomKind::Torch)]
    rng: RandomKind,
    /// A PNG file for a preview, rewritten in every step
    #[arg(long, value_name = "FILE")]
    preview: Option<PathBuf>,
    #[command(flatten)]
    prompts: PromptOptions,
    #[command(flatten)]
    sources: SourceOptions,
    #[command(flatten)]
    additions: AdditionOptions,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    gpu: GpuOptions,
    /// Print one line of JSON: files, seeds, settings, timings, memory
    #[arg(long)]
    json: bool,
}

/// Generates the pictures and writes them.
pub fn run(arguments: &Arguments) -> Result<()> {
    let started = Instant::now();
    let files = output::names(&arguments.output, arguments.count);
    for file in &files {
        output::check(file)?;
    }
    if arguments.output.extension().is_some_and(|end| !end.eq_ignore_ascii_case("png")) {
        say("note: the file will be a PNG, whatever its name says");
    }
    let seeds = seeds(arguments)?;
    if let Some(file) = &arguments.preview {
        output::check(file).map_err(|error| error.context("--preview"))?;
    }
    let mut model = arguments.model.open(arguments.gpu.storage)?;
    arguments.additions.apply(&mut model)?;
    let latents = arguments.latents.as_deref().map(Latents::open).transpose()?;
    let mut request = arguments.model.request(&arguments.prompt);
    request.random = arguments.rng;
    arguments.prompts.apply(&mut request);
    let decoded =
        if arguments.additions.decodes_previews() { Preview::Decoded } else { Preview::Colours };
    request.preview = arguments.preview.is_some().then_some(decoded);
    arguments.sources.apply(&mut request)?;
    if let Some(latents) = latents {
        latents.apply(&model, &mut request)?;
    }
    model.check(&request)?; // impossible requests fail before a device is opened

    let gpu = arguments.gpu.open()?;
    let mut diffusion = Diffusion::new(&gpu, model);
    if let Some(bytes) = arguments.gpu.memory {
        diffusion.set_memory_budget(Some(bytes));
    }
    let open = started.elapsed();

    let mut drawn = Vec::new();
    for (file, seed) in files.iter().zip(&seeds) {
        request.seed = *seed;
        drawn.push(draw(&mut diffusion, &request, file, arguments)?);
        if !arguments.json {
            print(file.display())?;
        }
    }
    match arguments.json {
        true => print_json(&report(&diffusion, &files, &drawn, [open, started.elapsed()])),
        false => Ok(()),
    }
}

/// Generates one picture, writes it and prints its timing.
fn draw(
    diffusion: &mut Diffusion,
    request: &Request,
    file: &Path,
    arguments: &Arguments,
) -> Result<Generated> {
    let started = Instant::now();
    let meter = Meter::waiting("loading weights and compiling kernels");
    let mut previewed = Ok(());
    let mut previews = 0;
    let generated = diffusion.generate_with_blocking(request, |progress| {
        meter.step(progress);
        if let (Some(preview), Some(file)) = (&progress.preview, &arguments.preview) {
            previewed = preview.save(file, &[]);
            previews += 1;
        }
        if previewed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    drop(meter);
    previewed.map_err(|error| error.context("--preview"))?;
    let generated = generated?;
    if arguments.preview.is_some() && previews == 0 {
        say(
            "note: no preview: the colours of this model's latents are not known; --preview-vae takes \
             a decoder",
        );
    }
    let model = short_name(diffusion.model());
    let text = parameters(request, &generated, &model, &arguments.additions.noted_loras());
    generated.picture.save(file, &[("parameters", &text)])?;
    for note in &generated.notes {
        say(format!("note: {note}"));
    }
    let denoise = generated.timings.denoise.as_secs_f64();
    say(format!(
        "{}: seed {}, {} step{} of {} in {denoise:.2} s, {:.2} s in all",
        file.display(),
        generated.seed,
        generated.steps,
        if generated.steps == 1 { "" } else { "s" },
        generated.scheduler,
        started.elapsed().as_secs_f64(),
    ));
    Ok(generated)
}

/// The seeds of all pictures, counted up from the given or a random one.
fn seeds(arguments: &Arguments) -> Result<Vec<u64>> {
    // PyTorch's generator uses 32 bits; the standard library seeds its hash maps randomly.
    let random = || RandomState::new().hash_one(std::process::id()) & 0xffff_ffff;
    let first = arguments.seed.unwrap_or_else(random);
    let seeds = (0..u64::from(arguments.count)).map(|index| first.checked_add(index));
    seeds.collect::<Option<Vec<_>>>().ok_or_else(|| {
        let (count, last) = (arguments.count, u64::MAX);
        let message = format!("--seed: expected {count} seeds up to {last}, got the first {first}");
        Error::new(ErrorKind::Argument, message)
    })
}

/// The result as JSON. Times are in seconds, summed over the pictures.
fn report(
    diffusion: &Diffusion,
    files: &[PathBuf],
    drawn: &[Generated],
    [open, total]: [Duration; 2],
) -> serde_json::Value {
    let gpu = diffusion.gpu();
    let last = drawn.last();
    let sum =
        |phase: fn(&Generated) -> Duration| drawn.iter().map(phase).sum::<Duration>().as_secs_f64();
    json!({
        "files": files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
        "seeds": drawn.iter().map(|generated| generated.seed).collect::<Vec<_>>(),
        "model": diffusion.name(),
        "device": gpu.summary().name,
        "driver": gpu.summary().driver,
        "backend": gpu.summary().backend,
        "storage": gpu.target().storage.name(),
        "scheduler": last.map(|generated| generated.scheduler.name()),
        "steps": last.map(|generated| generated.steps),
        "guidance_scale": last.map(|generated| generated.guidance_scale),
        "size": last.map(|generated| [generated.picture.width(), generated.picture.height()]),
        "seconds": {
            "open": open.as_secs_f64(),
            "text": sum(|generated| generated.timings.text),
            "prepare": sum(|generated| generated.timings.prepare),
            "denoise": sum(|generated| generated.timings.denoise),
            "decode": sum(|generated| generated.timings.decode),
            "total": total.as_secs_f64(),
        },
        "peak_bytes": drawn.iter().map(|generated| generated.peak_bytes).max(),
        "notes": drawn.iter().flat_map(|generated| &generated.notes).collect::<Vec<_>>(),
    })
}
