//! croquis
pub mod diffusion;
pub mod error;
pub mod gpu;
pub mod graph;
pub mod kernels;
pub mod models;
pub mod picture;
pub mod random;
pub mod schedulers;
pub mod shape;
pub mod tokenizer;
pub mod weights;
pub use error::{Error, ErrorKind, Result};
