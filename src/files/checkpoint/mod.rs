//! Single-file checkpoints with the tensor names of the original implementation.
//!
//! [`Checkpoint`] turns such a file into the contents of a diffusers folder: components under
//! diffusers' names, which are views of the same bytes, and the configurations that the file
//! lacks. [`ModelFiles::open`](super::ModelFiles::open) does so for any path.

pub mod blocks;
mod config;
pub mod ldm;
mod parts;
mod pattern;
mod sampling;
mod tables;
mod tokenizer;
mod unet_config;

pub use blocks::UnetLayout;
pub use parts::Checkpoint;
pub use sampling::Sampling;
