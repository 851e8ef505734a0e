//! The latents that a run ended with, and the picture that they become.

use super::generated::{Generated, Timings};
use super::layout::to_channels_last;
use super::mask::composed;
use super::model::ModelPart;
use super::request::ImageToImage;
use super::session::Session;
use crate::error::Result;
use crate::schedulers::SchedulerKind;
use crate::shape::Storage;
use web_time::Instant;

/// The latents that a run ended with.
pub(super) struct Denoised {
    /// `[C, h, w]`.
    pub latents: Vec<f32>,
    pub channels: usize,
    /// Height and width of the latents.
    pub size: [usize; 2],
    pub image: Option<ImageToImage>,
    /// Whether components take turns in memory.
    pub in_turn: bool,
    pub seed: u64,
    pub scheduler: SchedulerKind,
    pub steps: usize,
    pub guidance_scale: f32,
    pub storage: Storage,
    pub timings: Timings,
    pub peak_bytes: u64,
    pub notes: Vec<String>,
}

impl Denoised {
    /// Decodes the picture.
    ///
    /// # Errors
    /// `Memory` or `Device` from the GPU.
    pub(super) async fn decode(mut self, session: &mut Session) -> Result<Generated> {
        let started = Instant::now();
        if self.in_turn {
            session.model.unload_all_but(Some(ModelPart::Codec));
        }
        let latents = to_channels_last(&self.latents, self.channels);
        let decoded = session.decode(&latents, self.size).await?;
        self.notes.extend(decoded.note);
        let mut picture = decoded.value;
        if let Some(ImageToImage { picture: old, mask: Some(mask), .. }) = &self.image {
            picture = composed(&picture, old, &mask.coverage())?;
        }
        self.timings.decode = started.elapsed();
        Ok(Generated {
            picture,
            first_size: None,
            latents: self.latents,
            seed: self.seed,
            scheduler: self.scheduler,
            steps: self.steps,
            guidance_scale: self.guidance_scale,
            storage: self.storage,
            timings: self.timings,
            peak_bytes: self.peak_bytes.max(session.model.bytes()),
            notes: self.notes,
        })
    }
}
