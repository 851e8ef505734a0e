//! The networks: functions over a [`Scope`](crate::graph::Scope), one line per layer of the papers.
//! Layer names are those of diffusers and transformers; sizes come from the weights, other
//! hyperparameters from `config.json`.

pub mod autoencoder;
mod blocks;
pub mod clip;
mod config;
pub mod controlnet;
pub mod mobile;
pub mod presets;
pub mod tiny_autoencoder;
pub mod unet;

pub use config::{ClassName, parse_config};
