//! A model on a device within a memory budget.

use super::job::Job;
use super::layout::to_channels_last;
use super::model::{Model, ModelPart};
use super::preview::colours;
use super::request::Request;
use crate::components::{Coded, Direction, Upscaler};
use crate::error::{Error, ErrorKind, Result};
use crate::gpu::Gpu;
use crate::memory::{Budget, Bytes};
use crate::picture::Picture;
use crate::shape::Storage;

/// A model on a device. It loads components, makes them take turns in memory and gives up memory
/// when the device refuses an allocation.
pub(super) struct Session {
    pub gpu: Gpu,
    pub model: Model,
    /// The upscaler of second passes.
    pub upscaler: Option<Upscaler>,
    pub budget: Budget,
}

impl Session {
    /// Reads and plans a request within the budget and forgets programs of other shapes; also
    /// whether components take turns in memory.
    ///
    /// # Errors
    /// `Argument` for an impossible request; `Memory`, with numbers and what would fit, if a stage
    /// does not fit alone.
    pub(super) fn plan(&mut self, request: &Request) -> Result<(Job, bool)> {
        let (job, turns) = self.fit(request)?;
        let budget = self.budget.bytes().unwrap_or(u64::MAX);
        let target = self.gpu.target().clone();
        let model = &mut self.model;
        model.text.retain(&job.texts);
        model.denoiser.retain(job.shape);
        model.image_encoder.iter_mut().for_each(|encoder| encoder.retain(job.shape.copies));
        model.codec.retain(&target, [job.shape.height, job.shape.width]);
        // Previews are no stage of their own; a decoder for them stays where there is room.
        if let Some(preview) = &mut model.preview
            && preview.bytes().saturating_add(job.memory.together()) > budget
        {
            preview.unload();
        }
        Ok((job, turns || self.budget.crowded))
    }

    /// Reads and plans a request within the budget; also whether its components do not fit together.
    ///
    /// # Errors
    /// As [`plan`](Session::plan).
    pub(super) fn fit(&mut self, request: &Request) -> Result<(Job, bool)> {
        let budget = self.budget.bytes().unwrap_or(u64::MAX);
        let target = self.gpu.target().clone();
        self.model.codec.stage_bytes = budget;
        let job = Job::new(&self.model, request, &target);
        let fit = job.and_then(|job| Ok((job.memory.fit(budget)?, job)));
        let (turns, job) = match fit {
            Err(error) if error.kind() == ErrorKind::Memory => {
                let advice = self.model.advice(request, &target, budget, &error)?;
                return Err(Error::new(ErrorKind::Memory, format!("{error}; {advice}")));
            }
            fit => fit?,
        };
        Ok((job, turns))
    }

    /// Changes the storage type of weights and activations; everything on the GPU is dropped.
    ///
    /// # Errors
    /// `Unsupported` if the device lacks the storage type.
    pub(super) fn set_storage(&mut self, storage: Storage) -> Result<()> {
        self.gpu = self.gpu.with_storage(storage)?;
        self.model.unload_all_but(None);
        Ok(())
    }

    /// Moves the model to another device; everything on the old one is dropped.
    pub(super) fn move_to(&mut self, gpu: Gpu) {
        self.model.unload_all_but(None);
        self.budget = Budget { limit: self.budget.limit, ..Budget::of_device(gpu.memory()) };
        if let Some(upscaler) = &mut self.upscaler {
            upscaler.move_to(&gpu);
        }
        self.gpu = gpu;
    }

    /// Checks latents `[C, h, w]` and returns them as `[h, w, C]`.
    ///
    /// # Errors
    /// `Argument` if the number of values does not fit.
    pub(super) fn channels_last(
        &self,
        latents: &[f32],
        [height, width]: [usize; 2],
    ) -> Result<Vec<f32>> {
        let channels = self.model.denoiser.facts().channels;
        let count = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(channels));
        if latents.is_empty() || count != Some(latents.len()) {
            let message = format!(
                "latents: expected {channels}x{height}x{width} values, got {}",
                latents.len()
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(to_channels_last(latents, channels))
    }

    /// The picture of latents `[h, w, C]`. Other components make way for the decoder where they
    /// must.
    pub(super) async fn decode(
        &mut self,
        latents: &[f32],
        size: [usize; 2],
    ) -> Result<Coded<Picture>> {
        self.make_way(Direction::Decode, size).await?;
        loop {
            let gpu = self.gpu.clone();
            match self.model.codec.decode(&gpu, latents, size[0], size[1]).await {
                Err(error) if error.kind() == ErrorKind::Memory && self.make_room().await? => {}
                decoded => return decoded,
            }
        }
    }

    /// The picture of latents `[C, h, w]` by the preview decoder, if there is one, else by the
    /// model's own, beside what is loaded.
    pub(super) async fn preview(&mut self, latents: &[f32], size: [usize; 2]) -> Result<Picture> {
        let latents = self.channels_last(latents, size)?;
        // The network in whose steps the preview is asked for stays loaded.
        let used = self.model.bytes();
        let budget = self.budget.bytes().unwrap_or(u64::MAX);
        let codec = self.model.preview.as_mut().unwrap_or(&mut self.model.codec);
        let left = budget.saturating_sub(used - codec.bytes());
        let bound = std::mem::replace(&mut codec.stage_bytes, left);
        let decoded = codec.decode(&self.gpu, &latents, size[0], size[1]).await;
        codec.stage_bytes = bound;
        Ok(decoded?.value)
    }

    /// The picture of latents `[C, h, w]` by a colour for each latent; `None` where the colours of
    /// the family's latents are not known.
    pub(super) fn preview_fast(&self, latents: &[f32], size: [usize; 2]) -> Option<Picture> {
        let codec = &self.model.codec;
        let table = codec.latents().preview_colours?;
        let known = codec.pixels_per_latent() == 8;
        known.then(|| colours(latents, size, table)).flatten()
    }

    /// Unloads the other components where they leave too little of the budget for one direction of
    /// the autoencoder on pictures of this size, in latents.
    ///
    /// # Errors
    /// `Memory` if it does not fit alone either.
    pub(super) async fn make_way(&mut self, direction: Direction, size: [usize; 2]) -> Result<()> {
        let Some(budget) = self.budget.bytes() else { return Ok(()) };
        self.model.codec.stage_bytes = budget;
        let needed = self.model.codec.needed_bytes(self.gpu.target(), direction, size)?;
        let others = self.model.bytes() - self.model.codec.bytes();
        if others > 0 && others.saturating_add(needed) > budget {
            self.model.unload_all_but(Some(ModelPart::Codec));
            self.gpu.finished().await?;
        }
        Ok(())
    }

    /// Frees memory after the device refused an allocation; returns whether to try again. First
    /// components take turns, then tiles get smaller.
    pub(super) async fn make_room(&mut self) -> Result<bool> {
        if !self.gpu.take_out_of_memory() {
            return Ok(false);
        }
        let bytes = self.model.bytes();
        if !self.budget.crowded && bytes > 0 {
            self.budget.crowded = true;
            log::warn!("out of memory with {} in use; components take turns", Bytes(bytes));
        } else if self.model.codec.shrink() {
            log::warn!("out of memory with {} in use; smaller tiles", Bytes(bytes));
        } else {
            return Ok(false);
        }
        self.model.unload_all_but(None);
        self.gpu.finished().await?;
        Ok(true)
    }
}
