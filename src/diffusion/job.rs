//! Jobs: requests that were checked, tokenised and planned.

use super::model::Model;
use super::request::Request;
use super::settings::Settings;
use crate::components::{DenoiserPlans, Direction, Texts};
use crate::error::Result;
use crate::graph::Plan;
use crate::kernels::Target;
use crate::memory::{MemoryPlan, Stage};
use crate::models::network::DenoiserShape;
use std::sync::Arc;

/// A request that was checked, tokenised and planned for a device.
pub(super) struct Job {
    pub settings: Settings,
    pub texts: Texts,
    pub shape: DenoiserShape,
    pub plans: Plans,
    /// The memory of all stages, by the plans.
    pub memory: MemoryPlan,
}

/// The plans of a request.
pub(super) struct Plans {
    /// Text encoders by the folder of their weights.
    pub text: Vec<(&'static str, Arc<Plan>)>,
    /// The autoencoder's encoder, if the request has a picture to start from.
    pub encoder: Option<Arc<Plan>>,
    /// The encoder of a picture that prompts, if there is one.
    pub image_encoder: Option<Arc<Plan>>,
    pub denoiser: DenoiserPlans,
    pub decoder: Arc<Plan>,
}

impl Job {
    /// Reads a request and plans it for a target. Plans that the components keep are not made
    /// again.
    ///
    /// # Errors
    /// `Argument` for an impossible request; `Weights`, `Shape` or `Memory` if the model's weights
    /// or the target's limits do not allow it.
    pub(super) fn new(model: &Model, request: &Request, target: &Target) -> Result<Job> {
        let settings = Settings::new(model, request)?;
        let texts = model.text.read(&settings.texts(), settings.text)?;
        let shape = denoiser_shape(model, request, &settings, &texts);
        let plans = Plans::new(model, request.image.is_some(), &texts, shape, target)?;
        let memory = plans.memory();
        Ok(Job { settings, texts, shape, plans, memory })
    }
}

/// The shapes of the denoiser's graph.
pub(super) fn denoiser_shape(
    model: &Model,
    request: &Request,
    settings: &Settings,
    texts: &Texts,
) -> DenoiserShape {
    let [_, height, width] = settings.latent_shape(model);
    let masked = request.image.as_ref().is_some_and(|image| image.mask.is_some());
    DenoiserShape {
        height,
        width,
        copies: settings.copies,
        steps: settings.schedule.steps.len(),
        tokens: texts.tokens,
        text_width: model.text.width(),
        pixels_per_latent: model.codec.pixels_per_latent(),
        controls: request.controls.len(),
        image_prompt: request.image_prompt.is_some(),
        rescales: settings.copies == 2 && settings.guidance_rescale != 0.0,
        keeps_picture: masked && !model.denoiser.facts().inpainting,
    }
}

impl Plans {
    /// The plans for texts and shapes; `encodes` if there is a picture to start from.
    pub(super) fn new(
        model: &Model,
        encodes: bool,
        texts: &Texts,
        shape: DenoiserShape,
        target: &Target,
    ) -> Result<Plans> {
        let size = [shape.height, shape.width];
        let encode = || model.codec.plan_for(target, Direction::Encode, size);
        let image_encoder = model.image_encoder.as_ref().filter(|_| shape.image_prompt);
        Ok(Plans {
            text: model.text.plans(texts, target)?,
            image_encoder: image_encoder.map(|e| e.plan(shape.copies, target)).transpose()?,
            denoiser: model.denoiser.plans(shape, target)?,
            encoder: encodes.then(encode).transpose()?,
            decoder: model.codec.plan_for(target, Direction::Decode, size)?,
        })
    }

    /// The plans by name: `text_encoder` (and `text_encoder_2`), `image_encoder` if a picture prompts,
    /// `prepare`, `step`, `encoder` if there is a picture to start from, `decoder`.
    pub(super) fn named(&self) -> Vec<(&'static str, Arc<Plan>)> {
        let DenoiserPlans { prepare, step } = self.denoiser.clone();
        let mut plans = self.text.clone();
        plans.extend(self.image_encoder.clone().map(|plan| ("image_encoder", plan)));
        plans.extend([("prepare", prepare), ("step", step)]);
        plans.extend(self.encoder.clone().map(|plan| ("encoder", plan)));
        plans.push(("decoder", self.decoder.clone()));
        plans
    }

    /// The memory of all stages.
    pub(super) fn memory(&self) -> MemoryPlan {
        let DenoiserPlans { prepare, step } = &self.denoiser;
        // Each text encoder has weights of its own; both phases of the denoiser share theirs.
        let encoder = self.encoder.iter().map(|plan| ("encoder", &**plan));
        let image_encoder = self.image_encoder.iter().map(|plan| ("image_encoder", &**plan));
        let stages = [
            Stage::of("text", self.text.iter().map(|(name, plan)| (*name, &**plan))),
            Stage::of("image encoder", image_encoder),
            Stage::of("encoder", encoder),
            Stage::of("denoiser", [prepare, step].map(|plan| ("denoiser", &**plan))),
            Stage::of("decoder", [("decoder", &*self.decoder)]),
        ];
        MemoryPlan { stages: stages.into_iter().filter(|stage| stage.bytes() > 0).collect() }
    }
}
