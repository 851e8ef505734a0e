//! Drawing: generates a picture of a request, writes it and reports it.

use super::additions::AdditionOptions;
use super::output::OutputOptions;
use super::parameters::parameters;
use super::progress::Meter;
use super::terminal::{note, say};
use croquis::Result;
use croquis::diffusion::{Diffusion, Generated, Request};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A picture and the file that it was written to.
pub struct Drawn {
    pub file: PathBuf,
    pub generated: Generated,
}

/// Generates a picture; shows its progress and rewrites the preview, if there is one.
fn generate(
    diffusion: &mut Diffusion,
    request: &Request,
    preview: Option<&Path>,
) -> Result<Generated> {
    let meter = Meter::waiting("loading weights and compiling kernels");
    let mut previewed = Ok(());
    let mut previews = 0;
    let generated = diffusion.generate_with_blocking(request, |progress| {
        meter.step(progress);
        if let (Some(picture), Some(file)) = (&progress.preview, preview) {
            previewed = picture.save(file, &[]);
            previews += 1;
        }
        if previewed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    drop(meter);
    previewed.map_err(|error| error.context("--preview"))?;
    let generated = generated?;
    if preview.is_some() && previews == 0 {
        note(
            "no preview: the colours of this model's latents are not known; --preview-vae takes a \
             decoder",
        );
    }
    Ok(generated)
}

/// Generates pictures of a request by their seeds, writes them and tells what they are; `written` is called with the
/// name of each file.
pub fn series(
    diffusion: &mut Diffusion,
    mut request: Request,
    files: impl Iterator<Item = (PathBuf, u64)>,
    output: &OutputOptions,
    additions: &AdditionOptions,
    mut written: impl FnMut(&Path) -> Result<()>,
) -> Result<Vec<Drawn>> {
    let mut drawn = Vec::new();
    for (file, seed) in files {
        request.seed = seed;
        let started = Instant::now();
        let generated = generate(diffusion, &request, output.preview())?;
        write(diffusion, &request, &generated, &file, additions)?;
        tell(&generated, &file, started.elapsed());
        written(&file)?;
        drawn.push(Drawn { file, generated });
    }
    Ok(drawn)
}

/// Writes a picture with its settings.
fn write(
    diffusion: &Diffusion,
    request: &Request,
    generated: &Generated,
    file: &Path,
    additions: &AdditionOptions,
) -> Result<()> {
    let text = parameters(diffusion, request, generated, &additions.noted_loras());
    generated.picture.save(file, &[("parameters", &text)])
}

/// Tells the user a picture's notes, settings and times.
fn tell(generated: &Generated, file: &Path, total: Duration) {
    generated.notes.iter().for_each(note);
    say(format!(
        "{}: seed {}, {} step{} of {} in {:.2} s, {:.2} s in all",
        file.display(),
        generated.seed,
        generated.steps,
        if generated.steps == 1 { "" } else { "s" },
        generated.scheduler,
        generated.timings.denoise.as_secs_f64(),
        total.as_secs_f64(),
    ));
}

/// The result as JSON. Times are in seconds, summed over the pictures.
pub fn report(
    diffusion: &Diffusion,
    drawn: &[Drawn],
    [open, total]: [Duration; 2],
) -> serde_json::Value {
    let gpu = diffusion.gpu();
    let pictures: Vec<_> = drawn.iter().map(|drawn| &drawn.generated).collect();
    let last = pictures.last();
    let sum = |phase: fn(&Generated) -> Duration| {
        pictures.iter().map(|generated| phase(generated)).sum::<Duration>().as_secs_f64()
    };
    json!({
        "files": drawn.iter().map(|drawn| drawn.file.display().to_string()).collect::<Vec<_>>(),
        "seeds": pictures.iter().map(|generated| generated.seed).collect::<Vec<_>>(),
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
            "upscale": sum(|generated| generated.timings.upscale),
            "total": total.as_secs_f64(),
        },
        "peak_bytes": pictures.iter().map(|generated| generated.peak_bytes).max(),
        "notes": pictures.iter().flat_map(|generated| &generated.notes).collect::<Vec<_>>(),
    })
}
