//! croquis draws pictures from text with diffusion models on any GPU: hand-written WGSL kernels on
//! [wgpu] run tokenizer, text encoder, UNet, sampler and autoencoder on Vulkan, Metal
//! and WebGPU. A model is an unmodified diffusers folder, one file (safetensors or GGUF) or a name
//! on the Hugging Face Hub, and a small one is part of the library.
//!
//! ```
//! use croquis::diffusion::{Diffusion, Request};
//!
//! # fn main() -> croquis::Result<()> {
//! let mut diffusion = Diffusion::embedded()?;
//! let generated = diffusion.generate_blocking(&Request::new("a red apple").seed(42).steps(2))?;
//! generated.picture.save(std::env::temp_dir().join("apple.png"), &[])?;
//! # Ok(())
//! # }
//! ```
//!
//! A model of your own: [`ModelFiles::open`](files::ModelFiles::open) and
//! [`Diffusion::open`](diffusion::Diffusion::open). A device of your own:
//! [`Gpu::from_device`](gpu::Gpu::from_device). Step by step, with previews:
//! [`Diffusion::start`](diffusion::Diffusion::start). LoRAs, ControlNets, new words, other
//! autoencoders: the setters of [`Model`](diffusion::Model) and [`Diffusion`](diffusion::Diffusion).
//!
//! # Modules
//!
//! From the top down; each uses only those below it, and only [`gpu`] names wgpu.
//!
//! - [`diffusion`]: from a [`Request`](diffusion::Request) to a [`Picture`](picture::Picture).
//! - [`files`]: model files of every form, as the parts of a diffusers folder.
//! - [`doctor`]: the self-check of a device.
//! - [`hub`]: models by their names on the Hugging Face Hub.
//! - [`gpu`]: devices, weights in their memory, plans ready to run.
//! - [`models`]: CLIP, the UNets, the autoencoder, written as their papers write them.
//! - [`graph`]: what models build and what is planned from it; plain data, made without a GPU.
//! - [`kernels`]: every operation: formula, shape rule, launch and reference, beside its WGSL.
//! - [`lora`] reads what changes weights, [`weights`] reads safetensors and GGUF; [`prompt`],
//!   [`tokenizer`], [`schedulers`] and [`random`] stand alone.
//! - [`picture`], [`shape`] and [`error`]: what all of them speak of; [`logging`]: the targets of
//!   log records.
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
//! ([`Storage::Packed`](shape::Storage::Packed)).

// What a caller can do wrong is an error, never a panic.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo))]

pub mod components;
pub mod diffusion;
pub mod doctor;
pub mod error;
pub mod families;
pub mod files;
pub mod gpu;
pub mod graph;
#[cfg(not(target_arch = "wasm32"))]
pub mod hub;
pub mod kernels;
pub mod logging;
pub mod lora;
mod memory;
pub mod models;
pub mod picture;
pub mod prompt;
pub mod random;
pub mod schedulers;
pub mod shape;
pub mod tokenizer;
pub mod weights;
pub use error::{Error, ErrorKind, Result};

/// The README's snippets, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
