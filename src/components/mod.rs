//! The components of a model on a device: text encoders, denoiser and autoencoder, each with its
//! weights, its plans and its programs.

mod codec;
mod component;
mod denoiser;
mod image;
mod text;

pub use codec::{Autoencoder, Codec, Coded, Direction, Tiling};
pub use denoiser::{Conditions, Control, ControlNet, Denoiser, DenoiserPlans, Programs, scalars};
pub use image::{ImageEncoder, IpAdapter, PicturePrompt, normalised};
pub use text::{TextEmbeddings, TextEncoder, TextOptions, Texts, TextualInversion};
