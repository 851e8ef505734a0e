//! The driver: text-to-image and image-to-image from prompt to picture.
//!
//! [`Diffusion`] holds a device and a model. [`Diffusion::start`] encodes the prompt and prepares
//! the sampler; [`Run::step`] advances it, so that a caller can show progress, look at the latents
//! or stop; [`Run::finish`] decodes the picture. [`Diffusion::generate`] does all three.

mod codec;
mod component;
mod denoiser;
mod files;
mod latents;
mod model;
mod request;
mod run;
mod session;
mod summary;
mod text;

pub use files::ModelFiles;
pub use latents::{to_channels_first, to_channels_last};
pub use model::Model;
pub use request::{Defaults, ImageToImage, Request};
pub use run::{Generated, Progress, Run, Timings};
pub use session::Diffusion;
pub use summary::{ComponentSummary, Summary};
