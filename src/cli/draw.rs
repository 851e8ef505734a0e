//! Drawing: generates a picture of a request, writes it and reports it.

use super::model_hash::ModelHash;
use super::output::{OutputOptions, save_plain};
use super::parameters::parameters;
use super::progress::Meter;
use super::refiner::Refiner;
use super::size;
use super::terminal::{note, say};
use croquis::diffusion::{Diffusion, Generated, Preview, Progress, Request};
use croquis::{Error, Result};
use serde_json::{Value, json};
use std::fmt::Display;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A picture and the file that it was written to.
pub struct Drawn {
    pub file: PathBuf,
    pub generated: Generated,
}

/// The models that draw.
pub struct Models {
    pub first: Diffusion,
    /// The model that goes on where the first one stops.
    pub refiner: Option<Refiner>,
    /// The hash of the first model's file.
    pub hash: ModelHash,
}

/// Generates a picture; shows its progress and rewrites the preview, if there is one.
fn generate(models: &mut Models, request: &Request, preview: Option<&Path>) -> Result<Generated> {
    let meter = Meter::waiting("loading weights and compiling kernels");
    let mut previewed = Ok(());
    let mut previews = 0;
    let progress = |progress: &Progress| {
        meter.step(progress);
        if let (Some(picture), Some(file)) = (&progress.preview, preview) {
            previewed = save_plain(picture, file);
            previews += 1;
        }
        if previewed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let generated = match &mut models.refiner {
        Some(refiner) => refiner.generate(&mut models.first, request, progress),
        None => models.first.generate_with_blocking(request, progress),
    };
    drop(meter);
    previewed.map_err(|error| error.context("--preview"))?;
    let generated = generated?;
    if preview.is_some() && previews == 0 {
        note(match request.preview {
            Some(Preview::Decoded) => "no preview: there is no memory for its decoder",
            _ => {
                "no preview: the colours of this model's latents are not known; --preview-vae takes a \
                 decoder"
            }
        });
    }
    Ok(generated)
}

/// Generates a picture of a request, with the text of its settings.
pub fn picture(
    models: &mut Models,
    request: &Request,
    output: &OutputOptions,
    loras: &[String],
) -> Result<(Generated, String)> {
    let mut generated = generate(models, request, output.preview())?;
    let refined = models.refiner.is_some();
    generated.notes.extend(size::note(models.first.defaults(), request, &generated, refined));
    let refiner = models.refiner.as_ref().map(Refiner::noted);
    let hash = if output.model_hash() { models.hash.get() } else { None };
    let settings = parameters(&models.first, request, &generated, hash, refiner, loras);
    Ok((generated, settings))
}

/// Generates pictures of a request by their seeds, writes them and tells what they are; `written` is called with the
/// name of each file.
pub fn series(
    models: &mut Models,
    mut request: Request,
    files: impl Iterator<Item = (PathBuf, u64)>,
    output: &OutputOptions,
    loras: &[String],
    mut written: impl FnMut(&Path) -> Result<()>,
) -> Result<Vec<Drawn>> {
    let mut drawn = Vec::new();
    for (file, seed) in files {
        request.seed = seed;
        let started = Instant::now();
        let (generated, settings) = picture(models, &request, output, loras)?;
        output.save(&generated.picture, &file, &settings)?;
        tell(&generated, file.display(), started.elapsed());
        written(&file)?;
        drawn.push(Drawn { file, generated });
    }
    Ok(drawn)
}

/// Tells the user a picture's notes, settings and times.
pub fn tell(generated: &Generated, name: impl Display, total: Duration) {
    generated.notes.iter().for_each(note);
    say(format!(
        "{name}: seed {}, {} step{} of {} in {:.2} s, {:.2} s in all",
        generated.seed,
        generated.steps,
        if generated.steps == 1 { "" } else { "s" },
        generated.scheduler,
        generated.timings.denoise.as_secs_f64(),
        total.as_secs_f64(),
    ));
}

/// The result as JSON. Times are in seconds, summed over the pictures.
pub fn report(diffusion: &Diffusion, drawn: &[Drawn], [open, total]: [Duration; 2]) -> Value {
    let pictures: Vec<_> = drawn.iter().map(|drawn| &drawn.generated).collect();
    let last = pictures.last();
    let sum = |phase: fn(&Generated) -> Duration| {
        pictures.iter().map(|generated| phase(generated)).sum::<Duration>().as_secs_f64()
    };
    let report = json!({
        "files": drawn.iter().map(|drawn| drawn.file.display().to_string()).collect::<Vec<_>>(),
        "seeds": pictures.iter().map(|generated| generated.seed).collect::<Vec<_>>(),
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
            "upscale": sum(|generated| generated.timings.upscale),
            "total": total.as_secs_f64(),
        },
        "peak_bytes": pictures.iter().map(|generated| generated.peak_bytes).max(),
        "notes": pictures.iter().flat_map(|generated| &generated.notes).collect::<Vec<_>>(),
    });
    with_device(diffusion, report)
}

/// A result with the model and the device that drew.
pub fn with_device(diffusion: &Diffusion, mut report: Value) -> Value {
    let gpu = diffusion.gpu();
    report["model"] = diffusion.name().into();
    report["device"] = json!(gpu.summary().name);
    report["driver"] = json!(gpu.summary().driver);
    report["backend"] = json!(gpu.summary().backend);
    report["storage"] = gpu.target().storage.name().into();
    report
}

/// An error as JSON.
pub fn problem(error: &Error) -> Value {
    json!({ "kind": format!("{:?}", error.kind()), "message": error.to_string() })
}
