//! Models as people have them: in one file, under the names of the original implementation.

pub mod blocks;
