//! Files of a model: diffusers folders, single files of other programs, files in memory.
//!
//! Every form becomes the components and small files of a diffusers folder; nothing else in the
//! crate knows the difference.

#[doc(hidden)]
pub mod checkpoint;
mod combined;
mod model_files;
mod pickle;
#[doc(hidden)]
pub mod shards;
mod summary;

pub use crate::schedulers::Prediction;
pub use crate::weights::Source;
#[doc(hidden)]
pub use checkpoint::{Checkpoint, Sampling};
pub use model_files::ModelFiles;
#[doc(hidden)]
pub use pickle::refuse_pickle;
pub use summary::{ComponentSummary, Summary};
