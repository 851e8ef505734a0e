//! Pictures from prompts: text-to-image, image-to-image and inpainting with a model on a device.
//!
//! [`Diffusion`] holds a device and a model. [`Diffusion::start`] encodes the prompt and prepares
//! the sampler; [`Run::step`] advances it, so that a caller can show progress, look at the latents
//! or stop; [`Run::finish`] decodes the picture. [`Diffusion::generate`] does all three.
//!
//! A request becomes a job (settings, tokenised texts, shapes, plans, memory) once; a run carries
//! it out. A second picture of the same shapes builds no graph, plan or bind group.

mod defaults;
mod denoised;
mod facade;
mod generate;
mod generated;
mod hires;
mod initial;
mod job;
mod layout;
mod loras;
mod mask;
mod model;
mod passes;
mod planning;
mod preview;
mod prompts;
mod recovery;
mod refine;
mod request;
mod run;
mod second_pass;
mod session;
mod settings;
mod upscaler;

pub use crate::components::{
    Autoencoder, Control, ControlNet, IpAdapter, PicturePrompt, TextualInversion, TileProgress,
    Tiling, Upscaler,
};
pub use crate::memory::{Bytes, MemoryPlan, Stage};
pub use defaults::Defaults;
pub use facade::Diffusion;
pub use generated::{Generated, Progress, Timings};
pub use hires::Hires;
pub use layout::{to_channels_first, to_channels_last};
pub use mask::Mask;
pub use model::Model;
pub use request::{Framing, ImageToImage, Preview, Request};
pub use run::Run;
