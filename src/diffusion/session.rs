//! A device with a model on it.

use super::codec::{Codec, Direction};
use super::denoiser::{Denoiser, Sizes};
use super::files::ModelFiles;
use super::request::{Defaults, Request};
use super::run::{Generated, Progress, Run};
use super::text::TextEncoder;
use crate::error::{Error, ErrorKind, Result};
use crate::gpu::Gpu;
use crate::graph::Plan;
use crate::kernels::Target;
use crate::picture::Picture;
use crate::schedulers::{Schedule, SchedulerConfig};
use crate::shape::Storage;
use std::ops::ControlFlow;

/// A model on a device: what generates pictures.
///
/// Weights are uploaded and kernels compiled when they are first needed, and kept.
pub struct Diffusion {
    pub(super) gpu: Gpu,
    pub(super) text: TextEncoder,
    pub(super) denoiser: Denoiser,
    pub(super) codec: Codec,
    scheduler: SchedulerConfig,
    defaults: Defaults,
    name: String,
}

/// A request with every choice made and checked.
pub(super) struct Settings {
    pub height: usize,
    pub width: usize,
    pub steps: usize,
    pub guidance_scale: f32,
    pub schedule: Schedule,
}

impl Diffusion {
    /// Reads a model's configurations and weight headers, and checks them. No weight is read yet.
    ///
    /// # Errors
    /// `NotFound`, `Format`, `Config`, `Unsupported` or `Weights`, naming file and key.
    pub fn open(gpu: &Gpu, files: &ModelFiles) -> Result<Diffusion> {
        let opened = || {
            let scheduler = SchedulerConfig::from_json(&files.text("scheduler/scheduler_config.json")?)?;
            let denoiser = Denoiser::open(files)?;
            let codec = Codec::open(files)?;
            let kind = scheduler.kind()?;
            let (steps, guidance_scale) = Defaults::sampling(kind, denoiser.mobile);
            let side = denoiser.sample_size * codec.pixels_per_latent();
            let defaults =
                Defaults { width: side, height: side, scheduler: kind, steps, guidance_scale };
            let text = TextEncoder::open(files)?;
            let (gpu, name) = (gpu.clone(), files.name().to_string());
            Ok(Diffusion { gpu, text, denoiser, codec, scheduler, defaults, name })
        };
        opened().map_err(|error: Error| error.context(format!("model {}", files.name())))
    }

    /// The embedded model on the best device: the shortest way to a picture.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    #[cfg(all(feature = "embedded", not(target_arch = "wasm32")))]
    pub fn embedded() -> Result<Diffusion> {
        Diffusion::open(&Gpu::open_blocking(&Default::default())?, &ModelFiles::embedded())
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The model's name: its folder, or what it was called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the model does unless it is asked otherwise.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// Begins a picture: encodes the prompt and prepares the sampler.
    ///
    /// # Errors
    /// `Argument` for an impossible request; `Memory`, `Weights` or `Device` if the model does not
    /// run on the device.
    pub async fn start(&mut self, request: &Request) -> Result<Run<'_>> {
        Run::start(self, request).await
    }

    /// Generates a picture. After every step `progress` is told, and may stop the run.
    ///
    /// Where the result of 16-bit storage is not finite, the picture is made again with f32; the
    /// model then stays at f32, and the result says so.
    ///
    /// # Errors
    /// As [`start`](Diffusion::start); `Cancelled` if `progress` breaks; `Numeric` if the result is not
    /// finite in f32 either.
    pub async fn generate(
        &mut self,
        request: &Request,
        mut progress: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Generated> {
        let first = self.attempt(request, &mut progress).await;
        match first {
            Err(error)
                if error.kind() == ErrorKind::Numeric
                    && self.gpu.target().storage != Storage::F32 =>
            {
                let storage = self.gpu.target().storage;
                log::warn!("{error}; trying again with storage f32");
                self.set_storage(Storage::F32)?;
                let mut generated = self.attempt(request, &mut progress).await?;
                generated.notes.push(format!("storage {storage} overflowed; f32 was used instead"));
                Ok(generated)
            }
            result => result,
        }
    }

    /// [`generate`](Diffusion::generate), blocking this thread.
    ///
    /// # Errors
    /// As [`generate`](Diffusion::generate).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn generate_blocking(
        &mut self,
        request: &Request,
        progress: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Generated> {
        let gpu = self.gpu.clone();
        gpu.block_on(self.generate(request, progress))
    }

    async fn attempt(
        &mut self,
        request: &Request,
        progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Generated> {
        let mut run = self.start(request).await?;
        while let Some(done) = run.step().await? {
            if progress(&done).is_break() {
                let message = format!("stopped after step {} of {}", done.step, done.steps);
                return Err(Error::new(ErrorKind::Cancelled, message));
            }
        }
        run.finish().await
    }

    /// Changes how weights and activations are stored; what is on the GPU is dropped.
    ///
    /// # Errors
    /// `Unsupported` if the device lacks the storage type.
    pub fn set_storage(&mut self, storage: Storage) -> Result<()> {
        self.gpu = self.gpu.with_storage(storage)?;
        self.text.unload();
        self.denoiser.unload();
        self.codec.unload();
        Ok(())
    }

    /// Text embeddings of a prompt, `[tokens, width]` row-major.
    ///
    /// # Errors
    /// As [`start`](Diffusion::start).
    pub async fn encode_text(&mut self, prompt: &str) -> Result<Vec<f32>> {
        Ok(self.text.encode(&self.gpu, &[prompt]).await?.values)
    }

    /// The picture of latents `[C, h, w]`, such as [`Generated::latents`].
    ///
    /// # Errors
    /// `Argument` if the number of values does not fit; `Memory` or `Device` from the GPU.
    pub async fn decode(&mut self, latents: &[f32], height: usize, width: usize) -> Result<Picture> {
        let latents = self.latents_in(latents, height, width)?;
        Ok(self.codec.decode(&self.gpu, &latents, height, width).await?.0)
    }

    /// The image of latents `[C, h, w]` before rounding to bytes: `[H, W, 3]` in about [-1, 1].
    ///
    /// # Errors
    /// As [`decode`](Diffusion::decode).
    pub async fn decode_raw(
        &mut self,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Vec<f32>> {
        let latents = self.latents_in(latents, height, width)?;
        self.codec.decode_raw(&self.gpu, &latents, height, width).await
    }

    fn latents_in(&self, latents: &[f32], height: usize, width: usize) -> Result<Vec<f32>> {
        let channels = self.denoiser.channels;
        if latents.len() != channels * height * width {
            let message = format!(
                "latents: expected {channels}x{height}x{width} values, got {}",
                latents.len()
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(super::to_channels_last(latents, channels))
    }

    /// The plans of a request by name, without running anything: `text_encoder`, `prepare`
    /// (what a prompt needs once), `step`, `decoder`.
    ///
    /// # Errors
    /// As [`start`](Diffusion::start).
    pub fn plans(&self, request: &Request) -> Result<Vec<(&'static str, Plan)>> {
        let settings = self.settings(request)?;
        let sizes = self.sizes(&settings)?;
        let graphs = self.denoiser.graphs(sizes)?;
        let texts = [sizes.copies, sizes.tokens, sizes.text_width];
        let target: &Target = self.gpu.target();
        Ok(vec![
            ("text_encoder", Plan::new(&self.text.graph(texts)?, target)?),
            ("prepare", Plan::new(&graphs.prepare, target)?),
            ("step", Plan::new(&graphs.step, target)?),
            ("decoder", {
                let graph = self.codec.graph(Direction::Decode, sizes.height, sizes.width)?;
                Plan::new(&graph, target)?
            }),
        ])
    }

    /// The sizes of the denoiser's programs.
    pub(super) fn sizes(&self, settings: &Settings) -> Result<Sizes> {
        let side = self.codec.pixels_per_latent();
        Ok(Sizes {
            height: settings.height / side,
            width: settings.width / side,
            copies: if settings.guidance_scale == 1.0 { 1 } else { 2 },
            steps: settings.schedule.steps.len(),
            tokens: self.text.tokens(),
            text_width: self.text.width()?,
        })
    }

    /// The request with the model's defaults filled in, checked.
    pub(super) fn settings(&self, request: &Request) -> Result<Settings> {
        let (width, height) = match &request.image {
            Some(image) => (image.picture.width(), image.picture.height()),
            None => (
                request.width.unwrap_or(self.defaults.width),
                request.height.unwrap_or(self.defaults.height),
            ),
        };
        let multiple = self.codec.pixels_per_latent() * self.denoiser.granularity();
        for (axis, pixels) in [("width", width), ("height", height)] {
            if pixels == 0 || pixels % multiple != 0 || pixels > 16_384 {
                let near = (pixels.clamp(1, 16_384) + multiple / 2) / multiple * multiple;
                let message = format!(
                    "{axis}: expected a multiple of {multiple} pixels for this model, such as {}, got {pixels}",
                    near.max(multiple)
                );
                return Err(Error::new(ErrorKind::Argument, message));
            }
        }
        let kind = request.scheduler.unwrap_or(self.defaults.scheduler);
        let steps = request.steps.unwrap_or(self.defaults.steps);
        let guidance_scale = request.guidance_scale.unwrap_or(self.defaults.guidance_scale);
        if !guidance_scale.is_finite() || guidance_scale < 0.0 {
            let message = format!("guidance scale: expected a number from 0, got {guidance_scale}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let mut schedule = self.scheduler.schedule_from(kind, steps)?;
        if let Some(image) = &request.image {
            schedule = schedule.starting_at(image.strength)?;
        }
        if let (Some(wanted), Ok(got)) = (self.denoiser.text_width(), self.text.width())
            && wanted != got
        {
            let message = format!(
                "the UNet reads text embeddings of width {wanted}, the text encoder makes {got}; \
                 they do not belong together"
            );
            return Err(Error::new(ErrorKind::Weights, message));
        }
        Ok(Settings { height, width, steps, guidance_scale, schedule })
    }
}
