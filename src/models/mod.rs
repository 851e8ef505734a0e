//! The networks: functions over a [`Scope`](crate::graph::Scope), one line per layer of the papers.
//! Layer names are those of diffusers and transformers; sizes come from the weights, other
//! hyperparameters from `config.json`.

pub mod autoencoder;
mod blocks;
pub mod clip;
pub mod clip_network;
pub mod clip_vision;
pub mod compact;
mod config;
pub mod controlnet;
pub mod esrgan;
pub mod image_prompt;
pub mod mobile;
pub mod network;
pub mod numbered;
pub mod presets;
pub mod tiny_autoencoder;
pub mod unet;
pub mod unet_network;
pub mod upscaler;

pub use config::{ClassName, parse_config};
