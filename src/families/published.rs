//! Published configuration values that single files lack.

use super::Task;
use crate::schedulers::Prediction;
use crate::weights::Weights;

/// The configuration values that were published with a family's first model in diffusers' format:
/// a single file in the original layout holds weights only, and takes these.
pub struct Published {
    /// `_class_name` of `scheduler/scheduler_config.json`.
    pub scheduler: &'static str,
    /// Further keys of `scheduler/scheduler_config.json`, with values in JSON.
    pub scheduler_keys: &'static [(&'static str, &'static str)],
    /// `_class_name` of `model_index.json` by task.
    pub pipeline: fn(Task) -> &'static str,
    /// The number of attention heads of the UNet.
    pub heads: HeadRule,
    /// `sample_size` of `unet/config.json`: height and width of the latents.
    pub sample_size: fn(Prediction) -> usize,
    /// `sample_size` of `vae/config.json`, in pixels.
    pub image_size: usize,
    /// How a file's UNet was trained, where the file's metadata do not tell.
    pub training: fn(&Weights) -> Training,
}

/// The rule for the number of attention heads of a UNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadRule {
    /// So many heads at every level.
    Count(usize),
    /// Heads of this size.
    Size(usize),
}

/// How a UNet was trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Training {
    /// The quantity it predicts.
    pub prediction: Prediction,
    /// Whether it was distilled to a few steps by adversarial diffusion distillation (Sauer et
    /// al., arXiv 2311.17042), as SD-Turbo was.
    pub turbo: bool,
}

impl Training {
    /// A UNet that predicts the noise and was not distilled.
    pub const NOISE: Training = Training { prediction: Prediction::Epsilon, turbo: false };
}
