//! A model's configurations and weights, ready for any device.

use super::codec::Codec;
use super::denoiser::{Denoiser, SIZES, Sizes};
use super::files::ModelFiles;
use super::request::{Defaults, Request};
use super::text::{TextEncoder, TextOptions, TextualInversion};
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

/// The parts that take turns in a device's memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Text,
    Denoiser,
    Codec,
}

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

    /// What SDXL is told of the picture: its original size, where the crop begins, its size.
    pub(super) fn sizing(&self) -> [f32; SIZES] {
        let (height, width) = (self.height as f32, self.width as f32);
        [height, width, 0.0, 0.0, height, width]
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
            if denoiser.pooled_width() != text.pooled_width() {
                let words = |width: Option<usize>| width.map_or("none".into(), |w| w.to_string());
                let message = format!(
                    "the UNet reads pooled text embeddings of width {}, the text encoders make {}; \
                     they do not belong together",
                    words(denoiser.pooled_width()),
                    words(text.pooled_width())
                );
                return Err(Error::new(ErrorKind::Weights, message));
            }
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

    /// The plans of a request by name, computed without a GPU: `text_encoder` (and
    /// `text_encoder_2`), `encoder` for a picture to start from, `prepare` (what a prompt needs
    /// once), `step`, `decoder`; the latter and `encoder` of a tile, where there are tiles.
    ///
    /// # Errors
    /// `Argument` for an impossible request; `Weights`, `Shape` or `Memory` if the model's weights
    /// or the target's limits do not allow it.
    pub fn plans(&self, request: &Request, target: &Target) -> Result<Vec<(&'static str, Plan)>> {
        let settings = self.settings(request)?;
        let sizes = self.sizes(request, &settings)?;
        self.plans_of(request, &settings, sizes, target)
    }

    /// [`plans`](Model::plans) of a request that was read already.
    pub(super) fn plans_of(
        &self,
        request: &Request,
        settings: &Settings,
        sizes: Sizes,
        target: &Target,
    ) -> Result<Vec<(&'static str, Plan)>> {
        let mut graphs = self.text.graphs(&settings.texts(request), settings.text)?;
        let denoiser = self.denoiser.graphs(sizes)?;
        graphs.extend([("prepare", denoiser.prepare), ("step", denoiser.step)]);
        let mut plans = graphs
            .iter()
            .map(|(name, graph)| Ok((*name, Plan::new(graph, target)?)))
            .collect::<Result<Vec<_>>>()?;
        let size = [sizes.height, sizes.width];
        if request.image.is_some() {
            plans.push(("encoder", self.codec.encoder_plan(target, size)?));
        }
        plans.push(("decoder", self.codec.decoder_plan(target, size)?));
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
            control: request.control.as_ref().map(|_| side),
        })
    }

    /// The request with the model's defaults filled in, checked.
    pub(super) fn settings(&self, request: &Request) -> Result<Settings> {
        self.check_pictures(request)?;
        let image = request.image.as_ref().map(|image| &image.picture);
        let picture = image.or(request.control.as_ref().map(|control| &control.picture));
        let (width, height) = match picture {
            Some(picture) => (picture.width(), picture.height()),
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
        // A network that reads the guidance scale was distilled from guided steps.
        let guided = guidance_scale > 1.0 && self.denoiser.guidance_width.is_none();
        let copies = if guided { 2 } else { 1 };
        if request.clip_skip == Some(0) {
            let message = "clip skip: expected 1 (the model's own last layer) or more, got 0";
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let skip = request.clip_skip.unwrap_or(1) - 1;
        let text = TextOptions { skip, plain: request.plain_prompts, negative: copies == 2 };
        Ok(Settings { height, width, steps, guidance_scale, copies, text, schedule })
    }

    /// Checks that the pictures of a request fit each other and the model.
    fn check_pictures(&self, request: &Request) -> Result<()> {
        let fail = |kind, message: &str| Err(Error::new(kind, message));
        let mask =
            request.image.as_ref().and_then(|image| Some((&image.picture, image.mask.as_ref()?)));
        match mask {
            Some((picture, mask)) => mask.check(picture)?,
            None if self.denoiser.inpainting => {
                return fail(
                    ErrorKind::Argument,
                    "this model paints into pictures: it needs a picture and a mask",
                );
            }
            None => {}
        }
        let Some(control) = &request.control else { return Ok(()) };
        if !self.denoiser.has_control() {
            return fail(
                ErrorKind::Argument,
                "a control picture was given, but no ControlNet was loaded",
            );
        }
        if !(control.scale.is_finite() && control.start.is_finite() && control.end.is_finite()) {
            return fail(
                ErrorKind::Argument,
                "control scale, start and end must be finite numbers",
            );
        }
        let (width, height) = (control.picture.width(), control.picture.height());
        let image =
            request.image.as_ref().map(|image| (image.picture.width(), image.picture.height()));
        let wanted = image.or(request.width.zip(request.height));
        if let Some((w, h)) = wanted.filter(|wanted| *wanted != (width, height)) {
            let message = format!(
                "control picture: expected the result's {w}x{h} pixels, got {width}x{height}"
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(())
    }

    /// Adds a word to the vocabulary of the prompts.
    ///
    /// # Errors
    /// As [`TextEncoder::add_embedding`].
    pub fn add_embedding(&mut self, embedding: &TextualInversion) -> Result<()> {
        self.text.add_embedding(embedding)
    }

    /// Bytes of GPU memory that the components hold.
    pub(super) fn bytes(&self) -> u64 {
        let preview = self.preview.as_ref().map_or(0, Codec::bytes);
        self.text.bytes() + self.denoiser.bytes() + self.codec.bytes() + preview
    }

    /// Forgets the programs that were made for other sizes than a request's; weights stay.
    ///
    /// # Errors
    /// As [`plans`](Model::plans).
    pub(super) fn retain(&mut self, request: &Request, target: &Target) -> Result<()> {
        let settings = self.settings(request)?;
        let sizes = self.sizes(request, &settings)?;
        self.text.retain(&settings.texts(request), settings.text);
        self.denoiser.retain(sizes);
        self.codec.retain(target, [sizes.height, sizes.width]);
        Ok(())
    }

    /// Forgets what is on the GPU.
    pub(super) fn unload(&mut self) {
        self.unload_all_but(None);
    }

    /// Forgets what is on the GPU but for the component that is used next.
    pub(super) fn unload_all_but(&mut self, next: Option<Part>) {
        if next != Some(Part::Text) {
            self.text.unload();
        }
        if next != Some(Part::Denoiser) {
            self.denoiser.unload();
        }
        if next != Some(Part::Codec) {
            self.codec.unload();
        }
        self.preview.iter_mut().for_each(Codec::unload);
    }
}
