//! The facts about a kind of diffusion model.

use super::evidence::Evidence;
use super::latents::LatentSpace;
use super::published::Published;
use super::text::TextPlan;
use crate::error::Result;
use crate::models::network::Network;
use std::fmt;

/// The facts about a kind of diffusion model.
pub struct Family {
    /// Its name in messages.
    pub name: &'static str,
    /// The folder of its denoiser in diffusers' layout, such as `unet` or `transformer`.
    pub folder: &'static str,
    /// The class of its denoiser: `_class_name` in that folder's `config.json`.
    pub class_name: &'static str,
    /// Whether a denoiser of that class belongs to this family.
    pub recognises: fn(&Evidence<'_>) -> bool,
    /// Reads the denoiser's `config.json` (file name for messages, and text).
    pub network: fn(file: &str, config: &str) -> Result<Box<dyn Network>>,
    /// The text encoders and how they are read.
    pub text: TextPlan,
    /// The latent space between autoencoder and denoiser.
    pub latents: LatentSpace,
    /// The number of sampling steps that a request gets by default.
    pub steps: usize,
    /// The guidance scale that a request gets by default.
    pub guidance_scale: f32,
    /// The published configuration values that a single file lacks, where such files exist.
    pub published: Option<Published>,
}

impl PartialEq for Family {
    fn eq(&self, other: &Family) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
