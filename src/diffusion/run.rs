//! One picture in the making.

use super::conditions::Conditions;
use super::control::Control;
use super::denoiser::{Programs, Sizes, scalars};
use super::initial::{Blend, Initial, initial};
use super::mask::composed;
use super::model::{Model, Part};
use super::request::{ImageToImage, Preview, Request};
use super::session::Diffusion;
use super::settings::Settings;
use super::{to_channels_first, to_channels_last};
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::scheduler_step::{PREDICTED, SLOTS};
use crate::models::unet::guidance_embedding;
use crate::picture::Picture;
use crate::random::Generator;
use crate::schedulers::SchedulerKind;
use crate::shape::Storage;
use web_time::{Duration, Instant};

/// A picture in the making: [`step`](Run::step) until it returns `None`, then
/// [`finish`](Run::finish). Dropping it abandons the picture.
pub struct Run<'d> {
    diffusion: &'d mut Diffusion,
    programs: Programs,
    settings: Settings,
    sizes: Sizes,
    seed: u64,
    /// The first sample, `[C, h, w]`.
    initial: Vec<f32>,
    random: Generator,
    blend: Option<Blend>,
    /// The last sample `[h, w, C]` with what is kept of a picture.
    blended: Option<Vec<f32>>,
    control: Option<Control>,
    image: Option<ImageToImage>,
    /// Whether components take turns in memory.
    in_turn: bool,
    next: usize,
    started: Instant,
    timings: Timings,
    peak_bytes: u64,
    notes: Vec<String>,
}

/// What is known after a step.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// How long this step took.
    pub time: Duration,
    /// What the picture is expected to become, if the request asks for previews; `None` from
    /// [`Run::step`], whose caller has [`Run::preview`].
    pub preview: Option<Picture>,
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Tokenising and encoding the prompt, upload and compilation included when it is the first.
    pub text: Duration,
    /// Planning the denoiser, uploading its weights, compiling it, and what a prompt needs once.
    pub prepare: Duration,
    /// All sampling steps.
    pub denoise: Duration,
    /// Decoding the latents.
    pub decode: Duration,
}

/// A finished picture.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The picture.
    pub picture: Picture,
    /// Its latents `[C, h, w]`, scaled for the UNet, as diffusers returns them.
    pub latents: Vec<f32>,
    /// The seed.
    pub seed: u64,
    /// The sampler.
    pub scheduler: SchedulerKind,
    /// The number of steps that was asked for.
    pub steps: usize,
    /// The guidance scale.
    pub guidance_scale: f32,
    /// How activations and weights were stored.
    pub storage: Storage,
    /// Where the time went.
    pub timings: Timings,
    /// The most GPU memory at once, by the plans: weights and buffers of what was loaded.
    pub peak_bytes: u64,
    /// What the user should know, such as words that did not fit.
    pub notes: Vec<String>,
}

impl<'d> Run<'d> {
    pub(super) async fn start(diffusion: &'d mut Diffusion, request: &Request) -> Result<Self> {
        let started = Instant::now();
        let settings = diffusion.model.settings(request)?;
        let sizes = diffusion.model.sizes(request, &settings)?;
        let channels = diffusion.model.denoiser.channels;
        let count = channels * sizes.height * sizes.width;
        if let Some(latents) = &request.latents
            && (latents.len() != count || latents.iter().any(|value| !value.is_finite()))
        {
            let message = format!(
                "latents: expected {channels}x{}x{} finite values, got {} values",
                sizes.height,
                sizes.width,
                latents.len()
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }

        let gpu = diffusion.gpu.clone();
        let in_turn = diffusion.takes_turns(request)?;
        if in_turn {
            diffusion.model.unload_all_but(Some(Part::Text));
        }
        let texts = settings.texts(request);
        let texts = diffusion.model.text.encode(&gpu, &texts, settings.text).await?;
        let mut notes = texts.notes;
        let text_time = started.elapsed();
        let mut peak_bytes = diffusion.model.bytes();

        if in_turn {
            diffusion.model.unload_all_but(Some(Part::Codec));
        }
        let mut random = Generator::with_kind(request.random, request.seed);
        let Model { codec, denoiser, .. } = &mut diffusion.model;
        let inpainting = denoiser.inpainting;
        let Initial { sample, masked, blend, notes: encoding } =
            initial(codec, &gpu, request, &settings, sizes, inpainting, &mut random).await?;
        notes.extend(encoding);
        peak_bytes = peak_bytes.max(diffusion.model.bytes());

        if in_turn {
            diffusion.model.unload_all_but(Some(Part::Denoiser));
        }
        let denoiser = &mut diffusion.model.denoiser;
        let programs = denoiser.programs(&gpu, sizes).await?;
        let conditions = Conditions {
            timesteps: settings.schedule.steps.iter().map(|step| step.timestep).collect(),
            guidance: denoiser
                .guidance_width
                .map(|width| guidance_embedding(settings.guidance_scale, width)),
            sizing: texts.pooled.map(|pooled| (pooled, settings.sizing())),
            masked,
            picture: request.control.as_ref().map(|control| control.values()),
            context: texts.values,
        };
        conditions.write(&programs, sizes.copies)?;
        programs.prepare.run();
        programs.step.write("sample", &sample)?;
        programs.step.write("history", &vec![0.0; SLOTS * count])?;
        programs.step.write("noise", &vec![0.0; count])?;
        gpu.finished().await?;
        peak_bytes = peak_bytes.max(diffusion.model.bytes());
        let initial = to_channels_first(&sample, channels);

        let timings = Timings {
            text: text_time,
            prepare: started.elapsed() - text_time,
            ..Timings::default()
        };
        Ok(Run {
            diffusion,
            programs,
            settings,
            sizes,
            seed: request.seed,
            initial,
            random,
            blend,
            blended: None,
            control: request.control.clone(),
            image: request.image.clone(),
            in_turn,
            next: 0,
            started: Instant::now(),
            timings,
            peak_bytes,
            notes,
        })
    }

    /// Advances the sampler by one step and waits for it; `None` when there is none left.
    ///
    /// # Errors
    /// `Device` if the GPU failed.
    pub async fn step(&mut self) -> Result<Option<Progress>> {
        let steps = &self.settings.schedule.steps;
        let Some(step) = steps.get(self.next) else { return Ok(None) };
        let program = &self.programs.step;
        let channels = self.diffusion.model.denoiser.channels;
        let count = channels * self.sizes.height * self.sizes.width;
        let control = self.control.as_ref().map_or(0.0, |c| c.scale_at(self.next, steps.len()));
        let guidance = self.settings.guidance_scale;
        program.write("step", &scalars(step, self.next, guidance, control))?;
        if step.draws_noise {
            program.write("noise", &to_channels_last(&self.random.normal(count), channels))?;
        }
        program.run();
        if let Some(blend) = &self.blend {
            let mut sample = program.read_items("state", 0, 1).await?;
            blend.apply(&mut sample, steps.get(self.next + 1));
            program.write("sample", &sample)?;
            self.blended = Some(sample);
        }
        self.diffusion.gpu.finished().await?;
        self.next += 1;
        let before = self.timings.denoise;
        self.timings.denoise = self.started.elapsed();
        Ok(Some(Progress {
            step: self.next,
            steps: steps.len(),
            time: self.timings.denoise.saturating_sub(before),
            preview: None,
        }))
    }

    /// The current latents `[C, h, w]`: still noisy before the last step.
    ///
    /// # Errors
    /// `Device` if the GPU failed.
    pub async fn latents(&self) -> Result<Vec<f32>> {
        self.state_item(0).await
    }

    /// What the sampler expects the picture to become: the image predicted in the last step,
    /// decoded, by the [preview decoder](Diffusion::set_preview_decoder) if there is one. Before the
    /// first step it is noise.
    ///
    /// # Errors
    /// As [`finish`](Run::finish).
    pub async fn preview(&mut self) -> Result<Picture> {
        let predicted = self.state_item(PREDICTED).await?;
        self.diffusion.preview(&predicted, self.sizes.height, self.sizes.width).await
    }

    /// The [`preview`](Run::preview) by a colour for each latent instead of a decoder: an eighth of
    /// the size, at next to no cost. `None` where the colours of the model's latents are not known;
    /// see [`Diffusion::preview_fast`].
    ///
    /// # Errors
    /// `Device` if the GPU failed.
    pub async fn preview_fast(&self) -> Result<Option<Picture>> {
        let predicted = self.state_item(PREDICTED).await?;
        Ok(self.diffusion.preview_fast(&predicted, self.sizes.height, self.sizes.width))
    }

    /// A preview as a request wants it. Where components take turns in memory, there is no room for
    /// the model's own decoder beside the denoiser.
    pub(super) async fn preview_as(&mut self, kind: Preview) -> Result<Option<Picture>> {
        match kind {
            Preview::Decoded if !self.in_turn || self.diffusion.model.preview.is_some() => {
                match self.preview().await {
                    // A preview is not worth a picture.
                    Err(error) if error.kind() == ErrorKind::Memory => self.preview_fast().await,
                    decoded => decoded.map(Some),
                }
            }
            _ => self.preview_fast().await,
        }
    }

    /// Latents `[C, h, w]` from the state that the last step left; the first sample before there
    /// was one.
    async fn state_item(&self, item: usize) -> Result<Vec<f32>> {
        if self.next == 0 {
            return Ok(self.initial.clone());
        }
        let channels = self.diffusion.model.denoiser.channels;
        if let (0, Some(sample)) = (item, &self.blended) {
            return Ok(to_channels_first(sample, channels));
        }
        let values = self.programs.step.read_items("state", item, 1).await?;
        Ok(to_channels_first(&values, channels))
    }

    /// Decodes the picture. Before the last step it is the [`preview`](Run::preview).
    ///
    /// # Errors
    /// `Numeric` if the latents are not finite; `Memory` or `Device` from the GPU.
    pub async fn finish(mut self) -> Result<Generated> {
        let started = Instant::now();
        let done = self.next == self.settings.schedule.steps.len();
        let latents = self.state_item(if done { 0 } else { PREDICTED }).await?;
        let storage = self.diffusion.gpu.target().storage;
        if let Some(value) = latents.iter().find(|value| !value.is_finite()) {
            let message = format!(
                "the latents are not finite ({value}) after {} steps with storage {storage}",
                self.next
            );
            return Err(Error::new(ErrorKind::Numeric, message));
        }
        let (height, width) = (self.sizes.height, self.sizes.width);
        let Run { diffusion, programs, .. } = self;
        let last = to_channels_last(&latents, diffusion.model.denoiser.channels);
        drop(programs);
        if self.in_turn {
            diffusion.model.unload_all_but(Some(Part::Codec));
        }
        let decoded = diffusion.decode_latents(&last, height, width).await?;
        self.notes.extend(decoded.note);
        let mut picture = decoded.value;
        if let Some(ImageToImage { picture: old, mask: Some(mask), .. }) = &self.image {
            picture = composed(&picture, old, &mask.coverage())?;
        }
        self.timings.decode = started.elapsed();
        Ok(Generated {
            picture,
            latents,
            seed: self.seed,
            scheduler: self.settings.schedule.kind(),
            steps: self.settings.steps,
            guidance_scale: self.settings.guidance_scale,
            storage,
            timings: self.timings,
            peak_bytes: self.peak_bytes.max(diffusion.model.bytes()),
            notes: self.notes,
        })
    }
}
