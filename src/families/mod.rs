//! Families of diffusion models: one file of facts for each, and the recognition of a model's family.
//!
//! A [`Family`] states everything about a kind of model that its weights and configuration files
//! leave open: which text encoders it has and how they are read, its latent space, which network
//! its denoiser is, its defaults, and the values that its authors published and that a single file
//! lacks. The rest of the crate asks these facts and never for the family itself.

mod evidence;
mod family;
mod latents;
pub mod mobile;
mod published;
mod recognise;
pub mod sd1;
pub mod sd2;
pub mod sdxl;
mod stable_diffusion;
mod task;
mod text;

pub use evidence::Evidence;
pub use family::Family;
pub use latents::LatentSpace;
pub use published::{HeadRule, Published, Training};
pub use recognise::{denoiser_folders, of_unet, recognise, refuse_foreign};
pub use task::Task;
pub use text::{EncoderPlan, TextPlan, TokenizerPlan};
