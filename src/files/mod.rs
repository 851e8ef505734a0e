//! Files of a model: diffusers folders, single files of other programs, files in memory.
//!
//! Every form becomes the components and small files of a diffusers folder; nothing else in the
//! crate knows the difference.

pub mod checkpoint;
mod combined;
mod model_files;
mod pickle;
pub mod shards;
mod summary;

pub use checkpoint::{Checkpoint, Sampling};
pub use model_files::ModelFiles;
pub use pickle::refuse_pickle;
pub use summary::{ComponentSummary, Summary};
