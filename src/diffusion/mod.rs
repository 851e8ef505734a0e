//! The driver: text-to-image and image-to-image from prompt to picture.
//!
//! [`Diffusion`] holds a device and a model. [`Diffusion::start`] encodes the prompt and prepares
//! the sampler; [`Run::step`] advances it, so that a caller can show progress, look at the latents
//! or stop; [`Run::finish`] decodes the picture. [`Diffusion::generate`] does all three.

mod autoencoder;
mod budget;
mod codec;
mod combined;
mod component;
mod conditions;
mod control;
mod decoding;
mod denoiser;
mod files;
mod initial;
mod latents;
mod loras;
mod mask;
mod memory;
mod model;
mod preview;
mod request;
mod run;
mod session;
mod settings;
mod summary;
mod text;
mod tiles;

pub use autoencoder::Autoencoder;
pub use control::{Control, ControlNet};
pub use files::ModelFiles;
pub use latents::{to_channels_first, to_channels_last};
pub use mask::Mask;
pub use memory::{Bytes, MemoryPlan, Stage};
pub use model::Model;
pub use request::{Defaults, Framing, ImageToImage, Preview, Request};
pub use run::{Generated, Progress, Run, Timings};
pub use session::Diffusion;
pub use summary::{ComponentSummary, Summary};
pub use text::{TextEmbeddings, TextEncoder, TextOptions, TextualInversion};
pub use tiles::Tiling;
