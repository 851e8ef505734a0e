//! Plans and memory of a request, computed without a GPU.

use super::job::{Job, Plans, denoiser_shape};
use super::model::Model;
use super::request::Request;
use super::second_pass::Passes;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::graph::Plan;
use crate::kernels::Target;
use crate::memory::MemoryPlan;
use crate::models::network::DenoiserShape;
use crate::shape::Storage;
use std::sync::Arc;

/// Suggested sides of pictures are multiples of so many pixels.
const SUGGESTED: usize = 64;

impl Model {
    /// The shape `[C, h, w]` of a request's latents.
    ///
    /// # Errors
    /// `Argument` for an impossible request.
    pub fn latent_shape(&self, request: &Request) -> Result<[usize; 3]> {
        Ok(Settings::new(self, request)?.latent_shape(self))
    }

    /// Width and height of this model's pictures are multiples of so many pixels.
    pub fn size_multiple(&self) -> usize {
        self.codec.pixels_per_latent() * self.denoiser.facts().patch
    }

    /// Width and height of a request's picture, after the second pass if there is one.
    ///
    /// # Errors
    /// `Argument` for an impossible request.
    pub fn picture_size(&self, request: &Request) -> Result<[usize; 2]> {
        let settings = Settings::new(self, request)?;
        let passes = Passes::new(self, request)?;
        Ok(passes.map_or([settings.width, settings.height], |passes| passes.to))
    }

    /// Checks a request without planning it.
    ///
    /// # Errors
    /// `Argument` for an impossible request, its texts included.
    pub fn check(&self, request: &Request) -> Result<()> {
        let settings = Settings::new(self, request)?;
        Passes::new(self, request)?;
        self.text.read(&settings.texts(), settings.text).map(|_| ())
    }

    /// The plans of a request by name: `text_encoder` (and `text_encoder_2`), `image_encoder` for a
    /// picture that prompts, `prepare` (runs once per prompt), `step`, `encoder` for a picture to start
    /// from, `decoder`; the last two of a tile, where there are tiles.
    ///
    /// # Errors
    /// `Argument` for an impossible request; `Weights`, `Shape` or `Memory` if the model's weights
    /// or the target's limits do not allow it.
    #[doc(hidden)]
    pub fn plans(
        &self,
        request: &Request,
        target: &Target,
    ) -> Result<Vec<(&'static str, Arc<Plan>)>> {
        Ok(Job::new(self, request, target)?.plans.named())
    }

    /// The device memory that a request takes, stage by stage; with [`hires`](Request::hires) that of the
    /// second pass.
    ///
    /// # Errors
    /// As [`plans`](Model::plans).
    pub fn memory(&self, request: &Request, target: &Target) -> Result<MemoryPlan> {
        let passes = Passes::new(self, request)?;
        let largest = passes.as_ref().map_or(request, |passes| &passes.second);
        Ok(Job::new(self, largest, target)?.memory)
    }

    /// Advice for a request that was refused since it exceeds a budget: a storage type or size that
    /// would fit, found by planning it.
    ///
    /// # Errors
    /// As [`memory`](Model::memory), but for what does not fit.
    pub(super) fn advice(
        &self,
        request: &Request,
        target: &Target,
        budget: u64,
        refused: &Error,
    ) -> Result<String> {
        let settings = Settings::new(self, request)?;
        let texts = self.text.read(&settings.texts(), settings.text)?;
        let shape = denoiser_shape(self, request, &settings, &texts);
        let memory = |shape: DenoiserShape, target: &Target| {
            let plans = Plans::new(self, request.image.is_some(), &texts, shape, target)?;
            plans.memory().fit(budget)
        };
        let mut fitting = Vec::new();
        if target.storage.element_bytes() == Storage::F32.element_bytes() {
            let halves = Target { storage: Storage::Packed, ..target.clone() };
            if memory(shape, &halves).is_ok() {
                fitting.push("storage f16 or packed at this size".to_string());
            }
        }
        let side = self.codec.pixels_per_latent();
        let step = SUGGESTED.next_multiple_of(side * self.denoiser.facts().patch);
        let square = |steps: usize| {
            let latents = steps * step / side;
            DenoiserShape { height: latents, width: latents, ..shape }
        };
        // Larger squares never need less: halve the interval between what fits and what does not.
        let (mut most, mut failing) = (0, settings.height.max(settings.width) / step + 1);
        while failing - most > 1 {
            let middle = most.midpoint(failing);
            match memory(square(middle), target).is_ok() {
                true => most = middle,
                false => failing = middle,
            }
        }
        if most > 0 {
            fitting.push(format!("{0}x{0} pixels", most * step));
        }
        if !fitting.is_empty() {
            return Ok(format!("what would fit: {}", fitting.join(", or ")));
        }
        let needed = match memory(square(1), target) {
            Err(error) => error.to_string(),
            Ok(_) => String::new(),
        };
        let smallest = format!("no size fits, not even {step}x{step} pixels");
        // The numbers of the refused request are told already.
        let more =
            if needed == refused.to_string() { String::new() } else { format!(": {needed}") };
        Ok(smallest + &more)
    }
}
