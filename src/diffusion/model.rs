//! A model's configurations and weights, ready for any device.

use super::codec::Codec;
use super::denoiser::{Denoiser, Sizes};
use super::files::ModelFiles;
use super::request::{Defaults, Request};
use super::text::{TextEncoder, TextOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Plan;
use crate::kernels::Target;
use crate::schedulers::{Schedule, SchedulerConfig};

/// A model that was read and checked, and is not on a device yet: enough to know its defaults and
/// to plan what a request would cost.
pub struct Model {
    pub(super) text: TextEncoder,
    pub(super) denoiser: Denoiser,
    pub(super) codec: Codec,
    /// What previews are decoded by, if not by `codec`.
    pub(super) preview: Option<Codec>,
    scheduler: SchedulerConfig,
    defaults: Defaults,
    name: String,
}

/// The longest side of a picture, in pixels.
const MAX_PIXELS: usize = 16_384;

/// A request with every choice made and checked.
pub(super) struct Settings {
    pub height: usize,
    pub width: usize,
    pub steps: usize,
    pub guidance_scale: f32,
    /// Network evaluations a step: 2 with guidance.
    pub copies: usize,
    pub text: TextOptions,
    pub schedule: Schedule,
}

impl Settings {
    /// What is encoded of a request: with guidance the negative prompt first.
    pub(super) fn texts<'r>(&self, request: &'r Request) -> Vec<&'r str> {
        let texts = [request.negative_prompt.as_str(), request.prompt.as_str()];
        texts[2 - self.copies..].to_vec()
    }
}

impl Model {
    /// Reads a model's configurations and weight headers, and checks them. No weight is read yet.
    ///
    /// # Errors
    /// `NotFound`, `Format`, `Config`, `Unsupported` or `Weights`, naming file and key.
    pub fn open(files: &ModelFiles) -> Result<Model> {
        let opened = || {
            let scheduler =
                SchedulerConfig::from_json(&files.text("scheduler/scheduler_config.json")?)?;
            let denoiser = Denoiser::open(files)?;
            let codec = Codec::open(files)?;
            if codec.channels() != denoiser.channels {
                let message = format!(
                    "vae/config.json: latent_channels: expected the UNet's {}, got {}",
                    denoiser.channels,
                    codec.channels()
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
            let kind = scheduler.kind();
            let (steps, guidance_scale) =
                Defaults::sampling(kind.as_ref().ok().copied(), denoiser.mobile);
            let side = denoiser.sample_size * codec.pixels_per_latent();
            let defaults =
                Defaults { width: side, height: side, scheduler: kind.ok(), steps, guidance_scale };
            let text = TextEncoder::open(files)?;
            if let Some(wanted) = denoiser.text_width().filter(|wanted| *wanted != text.width()) {
                let message = format!(
                    "the UNet reads text embeddings of width {wanted}, the text encoder makes {}; \
                     they do not belong together",
                    text.width()
                );
                return Err(Error::new(ErrorKind::Weights, message));
            }
            let name = files.name().to_string();
            Ok(Model { text, denoiser, codec, preview: None, scheduler, defaults, name })
        };
        // Errors about a file name its folder already.
        opened().map_err(|error: Error| match error.to_string().contains(files.name()) {
            true => error,
            false => error.context(format!("model {}", files.name())),
        })
    }

    /// The model's name: its folder, or what it was called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the model does unless it is asked otherwise.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// The shape `[C, h, w]` of a request's latents.
    ///
    /// # Errors
    /// `Argument` for an impossible request.
    pub fn latent_shape(&self, request: &Request) -> Result<[usize; 3]> {
        let sizes = self.sizes(request, &self.settings(request)?)?;
        Ok([self.denoiser.channels, sizes.height, sizes.width])
    }

    /// The plans of a request by name, computed without a GPU: `text_encoder`, `prepare`
    /// (what a prompt needs once), `step`, `decoder` (of a tile, where the picture is decoded in
    /// tiles).
    ///
    /// # Errors
    /// `Argument` for an impossible request; `Weights`, `Shape` or `Memory` if the model's weights
    /// or the target's limits do not allow it.
    pub fn plans(&self, request: &Request, target: &Target) -> Result<Vec<(&'static str, Plan)>> {
        let settings = self.settings(request)?;
        let sizes = self.sizes(request, &settings)?;
        let mut graphs = self.text.graphs(sizes.copies, sizes.tokens)?;
        let denoiser = self.denoiser.graphs(sizes)?;
        graphs.extend([("prepare", denoiser.prepare), ("step", denoiser.step)]);
        let mut plans = graphs
            .iter()
            .map(|(name, graph)| Ok((*name, Plan::new(graph, target)?)))
            .collect::<Result<Vec<_>>>()?;
        plans.push(("decoder", self.codec.decoder_plan(target, [sizes.height, sizes.width])?));
        Ok(plans)
    }

    /// The sizes of the denoiser's programs.
    ///
    /// # Errors
    /// `Format` if the tokenizer is damaged.
    pub(super) fn sizes(&self, request: &Request, settings: &Settings) -> Result<Sizes> {
        let side = self.codec.pixels_per_latent();
        Ok(Sizes {
            height: settings.height / side,
            width: settings.width / side,
            copies: settings.copies,
            steps: settings.schedule.steps.len(),
            tokens: self.text.tokens(&settings.texts(request), settings.text)?,
            text_width: self.text.width(),
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
        let multiple = self.codec.pixels_per_latent();
        for (axis, pixels) in [("width", width), ("height", height)] {
            if pixels == 0 || pixels % multiple != 0 || pixels > MAX_PIXELS {
                let near = pixels.clamp(multiple, MAX_PIXELS) / multiple * multiple;
                let message = format!(
                    "{axis}: expected a multiple of {multiple} pixels from {multiple} to \
                     {MAX_PIXELS}, such as {near}, got {pixels}"
                );
                return Err(Error::new(ErrorKind::Argument, message));
            }
        }
        let kind = match request.scheduler {
            Some(kind) => kind,
            None => self.scheduler.kind().map_err(|error| {
                error.context("the model's sampler cannot be used; choose another one")
            })?,
        };
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
        let copies = if guidance_scale == 1.0 { 1 } else { 2 };
        if request.clip_skip == Some(0) {
            let message = "clip skip: expected 1 (the model's own last layer) or more, got 0";
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let skip = request.clip_skip.unwrap_or(1) - 1;
        let text = TextOptions { skip, plain: request.plain_prompts };
        Ok(Settings { height, width, steps, guidance_scale, copies, text, schedule })
    }

    /// Bytes of GPU memory that the components hold.
    pub(super) fn bytes(&self) -> u64 {
        let preview = self.preview.as_ref().map_or(0, Codec::bytes);
        self.text.bytes() + self.denoiser.bytes() + self.codec.bytes() + preview
    }

    /// Forgets what is on the GPU.
    pub(super) fn unload(&mut self) {
        self.text.unload();
        self.denoiser.unload();
        self.codec.unload();
        self.preview.iter_mut().for_each(Codec::unload);
    }
}
