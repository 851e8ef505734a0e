//! Passes: rewrites of a graph, each a function `Graph -> Graph`.

mod fuse;
mod phases;
mod prune;

pub use fuse::fuse;
pub use phases::{Phases, split_phases};
pub use prune::prune;
