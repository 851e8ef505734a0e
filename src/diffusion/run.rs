//! Runs: the sampling of one picture, step by step.

use super::denoised::Denoised;
use super::generated::{Generated, Progress, Timings};
use super::initial::{Initial, KeptPicture, initial};
use super::job::Job;
use super::layout::{to_channels_first, to_channels_last};
use super::model::ModelPart;
use super::request::{ImageToImage, Preview, Request};
use super::session::Session;
use crate::components::{Conditions, Control, Programs, TextEmbeddings, scalars};
use crate::error::{Error, ErrorKind, Result};
use crate::gpu::Recording;
use crate::kernels::scheduler_step::{PREDICTED, SLOTS};
use crate::models::numbered::{PICTURE, numbered};
use crate::picture::Picture;
use crate::random::Generator;
use web_time::Instant;

/// A run that samples one picture: [`step`](Run::step) until it returns `None`, then
/// [`finish`](Run::finish). Dropping it abandons the picture.
pub struct Run<'d> {
    session: &'d mut Session,
    job: Job,
    programs: Programs,
    seed: u64,
    /// Embeddings of all texts, of which each step has some.
    texts: TextEmbeddings,
    /// The first sample, `[C, h, w]`.
    initial: Vec<f32>,
    random: Generator,
    /// The commands of the next step, encoded while the last one ran.
    recording: Option<Recording>,
    /// Whether a step failed, or was given up before it was done: the state is unknown then.
    failed: bool,
    controls: Vec<Control>,
    image: Option<ImageToImage>,
    /// Whether components take turns in memory.
    in_turn: bool,
    next: usize,
    started: Instant,
    timings: Timings,
    peak_bytes: u64,
    notes: Vec<String>,
}

impl<'d> Run<'d> {
    pub(super) async fn start(session: &'d mut Session, request: &Request) -> Result<Self> {
        let started = Instant::now();
        let (job, in_turn) = session.plan(request)?;
        let gpu = session.gpu.clone();

        if in_turn {
            session.model.unload_all_but(Some(ModelPart::Text));
        }
        let texts = session.model.text.encode(&gpu, &job.texts).await?;
        let mut notes = job.settings.prompts.notes.clone();
        notes.extend_from_slice(&texts.notes);
        let text_time = started.elapsed();
        let mut peak_bytes = session.model.bytes();

        let mut image_embeds = None;
        if let (Some(prompt), Some(_)) = (&request.image_prompt, &session.model.image_encoder) {
            if in_turn {
                session.model.unload_all_but(Some(ModelPart::Image));
            }
            if let Some(encoder) = &mut session.model.image_encoder {
                let encoded = encoder.encode(&gpu, &prompt.picture, job.shape.copies).await?;
                image_embeds = Some((encoded, prompt.scale));
            }
            peak_bytes = peak_bytes.max(session.model.bytes());
        }

        if in_turn {
            session.model.unload_all_but(Some(ModelPart::Codec));
        }
        let mut random = Generator::with_kind(request.random, request.seed);
        let Initial { sample, masked, kept, notes: encoding } =
            initial(&mut session.model, &gpu, request, &job, &mut random).await?;
        notes.extend(encoding);
        peak_bytes = peak_bytes.max(session.model.bytes());

        if in_turn {
            session.model.unload_all_but(Some(ModelPart::Denoiser));
        }
        let denoiser = &mut session.model.denoiser;
        let programs = denoiser.programs(&gpu, job.shape, &job.plans.denoiser).await?;
        let mut conditions = Conditions::default();
        let timesteps = job.settings.schedule.steps.iter().map(|step| step.timestep);
        conditions.set("timesteps", timesteps.collect());
        conditions.set_texts(&texts, &job.settings.prompts.batches[0]);
        conditions.set("prompt_weights", job.settings.prompts.weights.clone());
        for (name, values) in denoiser.values(&job.settings.values()) {
            conditions.set(name, values);
        }
        if let Some(masked) = masked {
            conditions.set("masked", masked);
        }
        if let Some((embeds, scale)) = image_embeds {
            conditions.set("image_embeds", embeds);
            conditions.set("image_scale", vec![scale]);
            conditions.set("image_latents", denoiser.image_latents()?.unwrap_or_default());
        }
        for (index, control) in request.controls.iter().enumerate() {
            conditions.set(numbered(PICTURE, index), control.values());
        }
        if let Some(KeptPicture { image, noise, mask }) = kept {
            for (name, values) in [("image", image), ("image_noise", noise), ("mask", mask)] {
                conditions.set(name, values);
            }
        }
        conditions.write(&programs, job.shape.copies)?;
        programs.prepare.run();
        programs.step.write("sample", &sample)?;
        programs.step.write("history", &vec![0.0; SLOTS * sample.len()])?;
        programs.step.write("noise", &vec![0.0; sample.len()])?;
        gpu.finished().await?;
        peak_bytes = peak_bytes.max(session.model.bytes());
        let initial = to_channels_first(&sample, session.model.denoiser.facts().channels);

        let timings = Timings {
            text: text_time,
            prepare: started.elapsed() - text_time,
            ..Timings::default()
        };
        Ok(Run {
            session,
            job,
            programs,
            seed: request.seed,
            texts,
            initial,
            random,
            recording: None,
            failed: false,
            controls: request.controls.clone(),
            image: request.image.clone(),
            in_turn,
            next: 0,
            started: Instant::now(),
            timings,
            peak_bytes,
            notes,
        })
    }

    /// Advances the sampler by one step and waits for it; `None` when there is none left. After an
    /// error, or if the future is dropped before it resolves, the run cannot go on.
    ///
    /// # Errors
    /// `Device` if the GPU failed, or an earlier step did.
    pub async fn step(&mut self) -> Result<Option<Progress>> {
        let steps = &self.job.settings.schedule.steps;
        let Some(step) = steps.get(self.next) else { return Ok(None) };
        if std::mem::replace(&mut self.failed, true) {
            let message = "the run failed in an earlier step; start another one";
            return Err(Error::new(ErrorKind::Device, message));
        }
        let program = &self.programs.step;
        let batches = &self.job.settings.prompts.batches;
        if self.next > 0 && batches[self.next] != batches[self.next - 1] {
            let mut conditions = Conditions::default();
            conditions.set_texts(&self.texts, &batches[self.next]);
            conditions.update(&self.programs, self.job.shape.copies)?;
            self.programs.prepare.run();
        }
        let scales = self.controls.iter().map(|c| c.scale_at(self.next, steps.len()));
        let scales = scales.collect::<Vec<_>>();
        let guidance = [self.job.settings.guidance_scale, self.job.settings.guidance_rescale];
        let noising = steps.get(self.next + 1).map(|next| next.noising);
        let scalars = scalars(step, self.next, guidance, &scales, noising);
        program.write("step", &scalars)?;
        if step.draws_noise {
            let noise = self.random.normal(self.initial.len());
            program.write("noise", &to_channels_last(&noise, self.channels()))?;
        }
        let recording = self.recording.take().unwrap_or_else(|| program.record());
        program.submit(recording);
        // Every step is the same recording: the next one is encoded while this one runs.
        if self.next + 1 < steps.len() {
            self.recording = Some(program.record());
        }
        self.session.gpu.finished().await?;
        self.failed = false;
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

    /// The current latents `[C, h, w]`, which are noisy before the last step.
    ///
    /// # Errors
    /// `Device` if the GPU failed.
    pub async fn latents(&self) -> Result<Vec<f32>> {
        self.state_item(0).await
    }

    /// A preview of the picture: the image that the sampler predicted in the last step, decoded by the [preview decoder](super::Diffusion::set_preview_decoder) if there is one. Before the
    /// first step it is noise.
    ///
    /// # Errors
    /// As [`finish`](Run::finish).
    pub async fn preview(&mut self) -> Result<Picture> {
        let predicted = self.state_item(PREDICTED).await?;
        self.session.preview(&predicted, self.size()).await
    }

    /// The [`preview`](Run::preview) by a colour for each latent instead of a decoder: an eighth of
    /// the size, at next to no cost. `None` where the colours of the model's latents are not known;
    /// see [`Diffusion::preview_fast`](super::Diffusion::preview_fast).
    ///
    /// # Errors
    /// `Device` if the GPU failed.
    pub async fn preview_fast(&self) -> Result<Option<Picture>> {
        let predicted = self.state_item(PREDICTED).await?;
        Ok(self.session.preview_fast(&predicted, self.size()))
    }

    /// A preview as a request wants it. Where components take turns in memory, there is no room for
    /// the model's own decoder beside the denoiser.
    pub(super) async fn preview_as(&mut self, kind: Preview) -> Result<Option<Picture>> {
        match kind {
            Preview::Decoded if !self.in_turn || self.session.model.preview.is_some() => {
                match self.preview().await {
                    // A preview is not worth a picture.
                    Err(error) if error.kind() == ErrorKind::Memory => self.preview_fast().await,
                    decoded => decoded.map(Some),
                }
            }
            _ => self.preview_fast().await,
        }
    }

    /// Height and width of the latents.
    fn size(&self) -> [usize; 2] {
        [self.job.shape.height, self.job.shape.width]
    }

    fn channels(&self) -> usize {
        self.session.model.denoiser.facts().channels
    }

    /// Latents `[C, h, w]` from the state that the last step left; the first sample before there
    /// was one.
    async fn state_item(&self, item: usize) -> Result<Vec<f32>> {
        if self.next == 0 {
            return Ok(self.initial.clone());
        }
        let output = match item {
            0 if self.job.shape.keeps_picture => "blended",
            _ => "state",
        };
        let values = self.programs.step.read_items(output, item, 1).await?;
        Ok(to_channels_first(&values, self.channels()))
    }

    /// Decodes the picture. Before the last step it is the [`preview`](Run::preview).
    ///
    /// # Errors
    /// `Numeric` if the latents are not finite; `Memory` or `Device` from the GPU.
    pub async fn finish(self) -> Result<Generated> {
        let (session, denoised) = self.end().await?;
        denoised.decode(session).await
    }

    /// The latents that the run ended with: before the last step, those of the
    /// [`preview`](Run::preview).
    ///
    /// # Errors
    /// `Numeric` if they are not finite; `Device` from the GPU.
    pub(super) async fn end(self) -> Result<(&'d mut Session, Denoised)> {
        let done = self.next == self.job.settings.schedule.steps.len();
        let latents = self.state_item(if done { 0 } else { PREDICTED }).await?;
        let storage = self.session.gpu.target().storage;
        if let Some(value) = latents.iter().find(|value| !value.is_finite()) {
            let message = format!(
                "the latents are not finite ({value}) after {} steps with storage {storage}",
                self.next
            );
            return Err(Error::new(ErrorKind::Numeric, message));
        }
        let settings = &self.job.settings;
        let denoised = Denoised {
            latents,
            channels: self.channels(),
            size: self.size(),
            in_turn: self.in_turn,
            seed: self.seed,
            scheduler: settings.schedule.kind(),
            steps: settings.steps,
            guidance_scale: settings.guidance_scale,
            storage,
            timings: self.timings,
            peak_bytes: self.peak_bytes,
            image: self.image,
            notes: self.notes,
        };
        // Programs and recording, which hold buffers of the denoiser, are dropped here.
        Ok((self.session, denoised))
    }
}
