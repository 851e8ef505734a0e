//! The models: functions over a [`Scope`](crate::graph::Scope) that read like their papers. Layer
//! names are diffusers' and transformers' names; sizes come from the weights, the rest from
//! `config.json`.

pub mod autoencoder;
mod blocks;
pub mod clip;
pub mod clip_network;
mod config;
pub mod controlnet;
pub mod mobile;
pub mod network;
pub mod presets;
pub mod tiny_autoencoder;
pub mod unet;
pub mod unet_network;

pub use config::{ClassName, parse_config};
