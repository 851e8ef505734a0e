//! The components of a model on a device: text encoders, denoiser and autoencoder, each with its
//! weights, its plans and its programs; and upscalers of pictures.

mod codec;
mod component;
mod denoiser;
mod image;
mod text;
mod tiles;
mod upscaler;

pub use codec::{Autoencoder, Codec, Coded, Direction};
pub use denoiser::{Conditions, Control, ControlNet, Denoiser, DenoiserPlans, Programs, scalars};
pub use image::{ImageEncoder, IpAdapter, PicturePrompt, normalised};
pub use text::{TextEmbeddings, TextEncoder, TextOptions, Texts, TextualInversion};
pub use tiles::Tiling;
pub use upscaler::{TileProgress, Upscaler};
