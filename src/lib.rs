//! croquis draws pictures from text with diffusion models on any GPU: hand-written WGSL kernels on
//! [wgpu] run text encoder, UNet, sampler and autoencoder on Vulkan, Metal and WebGPU. A model is an unmodified diffusers folder, one file (safetensors or GGUF) or a name
//! on the Hugging Face Hub, and a small one is part of the library.
//!
//! ```
//! use croquis::{Diffusion, Request};
//!
//! # fn main() -> croquis::Result<()> {
//! let mut diffusion = Diffusion::embedded()?;
//! let generated = diffusion.generate_blocking(&Request::new("a red apple").seed(42).steps(2))?;
//! generated.picture.save(std::env::temp_dir().join("apple.png"), &[])?;
//! # Ok(())
//! # }
//! ```
//!
//! A model of your own: [`ModelFiles::open`] and [`Diffusion::open`]. A device of your own:
//! [`Gpu::from_device`]. Step by step, with previews: [`Diffusion::start`]. LoRAs, ControlNets, new
//! words, other autoencoders: the setters of [`Model`] and [`Diffusion`].
//!
//! # Modules
//!
//! - [`diffusion`]: pictures from requests, and everything that a request or a model takes.
//! - [`files`]: model files of every form.
//! - [`gpu`]: GPU devices and their limits.
//! - [`picture`]: RGB pictures, read from PNG, JPEG and WebP files and written to them.
//! - [`doctor`]: the self-check of a device.
//! - [`hub`]: models by their names on the Hugging Face Hub.
//! - [`error`]: the error type, whose kinds a caller can match on.
//!
//! # Features
//!
//! - `embedded` (default): the model emoji-64 inside the library, 30 MB.
//! - `cli` (default): the command `croquis`; a library does not need it.
//! - `hub`: [`hub`] downloads what its cache lacks; brings HTTP and TLS.
//!
//! # Platforms
//!
//! Vulkan on Linux, Windows and Android, Metal on macOS and iOS, WebGPU in browsers
//! (`wasm32-unknown-unknown`; the functions that block or touch files are missing there, their
//! async forms are not). A machine without a GPU runs a software Vulkan driver, such as Mesa's
//! lavapipe. GPUs without 16-bit floats in shaders store pairs of halves
//! ([`Storage::Packed`]).

#![deny(missing_docs)]
// Mistakes of a caller are errors, never panics.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo))]

mod components;
pub mod diffusion;
#[cfg(not(target_arch = "wasm32"))]
mod disk;
pub mod doctor;
pub mod error;
mod families;
pub mod files;
pub mod gpu;
mod graph;
#[cfg(not(target_arch = "wasm32"))]
pub mod hub;
#[doc(hidden)]
pub mod internal;
mod kernels;
mod logging;
mod lora;
mod memory;
mod models;
pub mod picture;
mod prompt;
mod random;
mod schedulers;
mod shape;
mod tokenizer;
mod weights;

pub use diffusion::{Diffusion, Generated, Model, Progress, Request, Run, Upscaler};
pub use error::{Error, ErrorKind, Result};
pub use files::ModelFiles;
pub use gpu::{DeviceOptions, Gpu};
pub use lora::Lora;
pub use picture::Picture;
pub use prompt::{LoraTag, split_lora_tags};
pub use random::RandomKind;
pub use schedulers::{SchedulerKind, Spacing};
pub use shape::Storage;

/// The README's snippets, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
