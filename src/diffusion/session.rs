//! A device with a model on it.

use super::autoencoder::Direction;
use super::control::ControlNet;
use super::files::ModelFiles;
use super::model::Model;
use super::request::{Defaults, Request};
use super::run::{Generated, Progress, Run};
use super::text::{TextOptions, TextualInversion};
use crate::error::{Error, ErrorKind, Result};
use crate::gpu::Gpu;
use crate::graph::Plan;
use crate::picture::Picture;
use crate::shape::Storage;
use std::ops::ControlFlow;

/// A model on a device: what generates pictures.
///
/// Weights are uploaded and kernels compiled when they are first needed, and kept.
pub struct Diffusion {
    pub(super) gpu: Gpu,
    pub(super) model: Model,
    /// The memory budget, if one was set.
    pub(super) budget: Option<u64>,
    /// Bytes of memory that the device had before the model was on it.
    pub(super) capacity: Option<u64>,
    /// Whether the device turned out to be too small for all components at once.
    pub(super) crowded: bool,
}

impl Diffusion {
    /// Reads a model for a device and checks it. No weight is read yet.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn open(gpu: &Gpu, files: &ModelFiles) -> Result<Diffusion> {
        Ok(Diffusion::new(gpu, Model::open(files)?))
    }

    /// A model on a device.
    pub fn new(gpu: &Gpu, model: Model) -> Diffusion {
        let (gpu, capacity) = (gpu.clone(), gpu.memory());
        Diffusion { gpu, model, budget: None, capacity, crowded: false }
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

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The model's name: its folder, or what it was called.
    pub fn name(&self) -> &str {
        self.model.name()
    }

    /// What the model does unless it is asked otherwise.
    pub fn defaults(&self) -> &Defaults {
        self.model.defaults()
    }

    /// The shape `[C, h, w]` of a request's latents.
    ///
    /// # Errors
    /// `Argument` for an impossible request.
    pub fn latent_shape(&self, request: &Request) -> Result<[usize; 3]> {
        self.model.latent_shape(request)
    }

    /// The plans of a request on this device; see [`Model::plans`].
    ///
    /// # Errors
    /// As [`Model::plans`].
    pub fn plans(&self, request: &Request) -> Result<Vec<(&'static str, Plan)>> {
        self.model.plans(request, self.gpu.target())
    }

    /// Adds a word to the vocabulary of the prompts (textual inversion).
    ///
    /// # Errors
    /// As [`TextEncoder::add_embedding`](super::TextEncoder::add_embedding).
    pub fn add_embedding(&mut self, embedding: &TextualInversion) -> Result<()> {
        self.model.add_embedding(embedding)
    }

    /// Begins a picture: encodes the prompt and prepares the sampler.
    ///
    /// # Errors
    /// `Argument` for an impossible request; `Memory`, `Weights` or `Device` if the model does not
    /// run on the device.
    pub async fn start(&mut self, request: &Request) -> Result<Run<'_>> {
        Run::start(self, request).await
    }

    /// Generates a picture.
    ///
    /// Where the result of 16-bit storage is not finite, the picture is made again with f32; the
    /// model then stays at f32, and the result says so.
    ///
    /// # Errors
    /// As [`start`](Diffusion::start); `Numeric` if the result is not finite in f32 either.
    pub async fn generate(&mut self, request: &Request) -> Result<Generated> {
        self.generate_with(request, |_| ControlFlow::Continue(())).await
    }

    /// [`generate`](Diffusion::generate) that tells `progress` of every step; breaking stops the
    /// run. [`Request::preview`] makes it bring previews.
    ///
    /// # Errors
    /// As [`generate`](Diffusion::generate); `Cancelled` if `progress` breaks.
    pub async fn generate_with(
        &mut self,
        request: &Request,
        mut progress: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Generated> {
        match self.persist(request, &mut progress).await {
            Err(error)
                if error.kind() == ErrorKind::Numeric
                    && self.gpu.target().storage != Storage::F32 =>
            {
                let storage = self.gpu.target().storage;
                log::warn!("{error}; trying again with storage f32");
                self.set_storage(Storage::F32)?;
                let again = self.persist(request, &mut progress).await;
                let overflowed = format!("storage {storage} overflowed");
                match again {
                    Ok(mut generated) => {
                        generated.notes.push(format!("{overflowed}; f32 was used instead"));
                        Ok(generated)
                    }
                    Err(error) if error.kind() == ErrorKind::Memory => {
                        self.set_storage(storage)?;
                        Err(error.context(format!("{overflowed}, and with f32")))
                    }
                    error => error,
                }
            }
            result => result,
        }
    }

    /// [`generate`](Diffusion::generate), blocking this thread.
    ///
    /// # Errors
    /// As [`generate`](Diffusion::generate).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn generate_blocking(&mut self, request: &Request) -> Result<Generated> {
        let gpu = self.gpu.clone();
        gpu.block_on(self.generate(request))
    }

    /// [`generate_with`](Diffusion::generate_with), blocking this thread.
    ///
    /// # Errors
    /// As [`generate_with`](Diffusion::generate_with).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn generate_with_blocking(
        &mut self,
        request: &Request,
        progress: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Generated> {
        let gpu = self.gpu.clone();
        gpu.block_on(self.generate_with(request, progress))
    }

    /// [`attempt`](Diffusion::attempt), again with less in memory for as long as the device
    /// refuses allocations and there is something to give up.
    async fn persist(
        &mut self,
        request: &Request,
        progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Generated> {
        loop {
            match self.attempt(request, progress).await {
                Err(error) if error.kind() == ErrorKind::Memory && self.make_room().await? => {}
                result => return result,
            }
        }
    }

    async fn attempt(
        &mut self,
        request: &Request,
        progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Generated> {
        let mut run = self.start(request).await?;
        while let Some(mut done) = run.step().await? {
            if let Some(kind) = request.preview {
                done.preview = run.preview_as(kind).await?;
            }
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
        self.model.unload();
        Ok(())
    }

    /// Puts a ControlNet beside the model's UNet, or takes it away; the UNet is loaded anew.
    ///
    /// # Errors
    /// `Weights` if the ControlNet is not for this model.
    pub fn set_controlnet(&mut self, controlnet: Option<ControlNet>) -> Result<()> {
        self.model.set_controlnet(controlnet)
    }

    /// Text embeddings of a prompt, `[tokens, width]` row-major.
    ///
    /// # Errors
    /// As [`start`](Diffusion::start).
    pub async fn encode_text(&mut self, prompt: &str) -> Result<Vec<f32>> {
        Ok(self.model.text.encode(&self.gpu, &[prompt], TextOptions::default()).await?.values)
    }

    /// The picture of latents `[C, h, w]`, such as [`Generated::latents`].
    ///
    /// # Errors
    /// `Argument` if the number of values does not fit; `Memory` or `Device` from the GPU.
    pub async fn decode(
        &mut self,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Picture> {
        let latents = self.latents_in(latents, height, width)?;
        Ok(self.decode_latents(&latents, height, width).await?.value)
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
        self.make_way(Direction::Decode, [height, width]).await?;
        self.model.codec.decode_raw(&self.gpu, &latents, height, width).await
    }

    pub(super) fn latents_in(
        &self,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Vec<f32>> {
        let channels = self.model.denoiser.channels;
        let count = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(channels));
        if latents.is_empty() || count != Some(latents.len()) {
            let message = format!(
                "latents: expected {channels}x{height}x{width} values, got {}",
                latents.len()
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(super::to_channels_last(latents, channels))
    }
}
