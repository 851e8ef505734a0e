//! Checks of the embedded model against golden values that diffusers computed in f32.

use super::{Check, Measure, by_storage, relative_l2};
use crate::diffusion::{Diffusion, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::files::ModelFiles;
use crate::gpu::Gpu;
use crate::picture::Picture;
use crate::schedulers::{SchedulerConfig, SchedulerKind};
use crate::weights::Weights;
use serde::Deserialize;

const SETTINGS: &str = include_str!("../../models/emoji-64/golden/golden.json");
const SCHEDULER: &str = include_str!("../../models/emoji-64/scheduler/scheduler_config.json");
const TENSORS: &[u8] = include_bytes!("../../models/emoji-64/golden/golden.safetensors");

/// The settings of the golden run: `golden.json`.
#[derive(Deserialize)]
struct GoldenSettings {
    prompt: String,
    negative_prompt: String,
    guidance_scale: f32,
    num_inference_steps: usize,
    scheduler: String,
    timesteps: Vec<f64>,
}

/// The sampler's timesteps, the text embeddings of the prompt, and the picture.
pub(super) async fn checks(gpu: &Gpu) -> [Check; 3] {
    let storage = gpu.target().storage;
    [
        check("emoji-64 timesteps", Measure::Largest, 0.0, timesteps()),
        check(
            "emoji-64 text embeddings",
            Measure::RelativeL2,
            by_storage(storage, 1e-4, 1e-2),
            text(gpu).await,
        ),
        check(
            "emoji-64 picture",
            Measure::Psnr,
            by_storage(storage, 45.0, 30.0),
            picture(gpu).await,
        ),
    ]
}

fn check(name: &'static str, measure: Measure, tolerance: f64, error: Result<f64>) -> Check {
    match error {
        Ok(error) => Check::measured(name, name.into(), measure, error, tolerance),
        Err(error) => Check::failed(name, name.into(), error),
    }
}

fn timesteps() -> Result<f64> {
    let settings = settings()?;
    let config = SchedulerConfig::from_json(SCHEDULER)?;
    let kind: SchedulerKind = settings.scheduler.parse()?;
    let schedule = config.schedule_from(kind, settings.num_inference_steps)?;
    if schedule.steps.len() != settings.timesteps.len() {
        return Ok(f64::INFINITY);
    }
    let pairs = schedule.steps.iter().zip(&settings.timesteps);
    Ok(pairs.map(|(step, golden)| (f64::from(step.timestep) - golden).abs()).fold(0.0, f64::max))
}

async fn text(gpu: &Gpu) -> Result<f64> {
    let mut diffusion = Diffusion::open(gpu, &ModelFiles::embedded())?;
    let got = diffusion.encode_text(&settings()?.prompt).await?;
    Ok(relative_l2(&widen(&got), &widen(&golden()?.read_f32("text_embeds")?)))
}

/// The PSNR of the picture. It is made step by step, because `generate` would turn to f32 where
/// 16-bit storage fails.
async fn picture(gpu: &Gpu) -> Result<f64> {
    let (settings, golden) = (settings()?, golden()?);
    let mut diffusion = Diffusion::open(gpu, &ModelFiles::embedded())?;
    let latents = Some(golden.read_f32("initial_latents")?);
    let negative_prompt = settings.negative_prompt;
    let request = Request::new(settings.prompt)
        .steps(settings.num_inference_steps)
        .guidance_scale(settings.guidance_scale)
        .scheduler(settings.scheduler.parse()?);
    let mut run = diffusion.start(&Request { negative_prompt, latents, ..request }).await?;
    while run.step().await?.is_some() {}
    let image = golden.read_f32("image")?;
    Ok(psnr(&run.finish().await?.picture, &image))
}

/// PSNR in dB of a picture and an image `[3, H, W]` in about [-1, 1].
fn psnr(picture: &Picture, image: &[f32]) -> f64 {
    let pixels = picture.width() * picture.height();
    if image.len() != 3 * pixels {
        return f64::NEG_INFINITY;
    }
    let byte = |value: f32| f64::from((value.clamp(-1.0, 1.0) * 127.5 + 127.5).round());
    let pairs = picture
        .rgb()
        .iter()
        .enumerate()
        .map(|(index, got)| f64::from(*got) - byte(image[index % 3 * pixels + index / 3]));
    let error: f64 = pairs.map(|difference| difference * difference).sum();
    10.0 * (255.0 * 255.0 * image.len() as f64 / error.max(1e-9)).log10()
}

fn settings() -> Result<GoldenSettings> {
    serde_json::from_str(SETTINGS)
        .map_err(|error| Error::new(ErrorKind::Format, "golden.json").with_source(error))
}

fn golden() -> Result<Weights> {
    Weights::from_bytes("golden.safetensors", TENSORS)
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_picture_has_a_low_psnr() -> Result<()> {
        let image = golden()?.read_f32("image")?;
        let side = (image.len() / 3).isqrt();
        let byte = |value: f32| (value.clamp(-1.0, 1.0) * 127.5 + 127.5).round() as u8;
        let pixel = |p: usize| [0, 1, 2].map(|channel| byte(image[channel * side * side + p]));
        let right: Vec<u8> = (0..side * side).flat_map(pixel).collect();
        let wrong = right.iter().map(|value| value ^ 0x10).collect();
        assert!(psnr(&Picture::new(side, side, right)?, &image) > 100.0);
        assert!(psnr(&Picture::new(side, side, wrong)?, &image) < 30.0);
        Ok(())
    }

    #[test]
    fn the_timesteps_are_those_of_diffusers() -> Result<()> {
        assert_eq!(timesteps()?, 0.0);
        Ok(())
    }
}
