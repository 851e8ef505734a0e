//! Golden parity: every block of every model, and whole runs, against diffusers in f32.
//!
//! The references are made by `tests/golden/make.py` (tiny models with seeded random weights) and
//! by `models/train/sample.py` (the embedded model).

#[path = "../common/mod.rs"]
mod common;

mod additions;
mod autoencoders;
mod blocks;
mod controls;
mod emoji;
mod image_prompts;
mod limits;
mod loras;
mod prompts;
mod refiner;
mod runs;
mod single;
mod tiles;
mod unets;

use serde_json::Value;
use std::path::PathBuf;

/// A file of this project.
pub fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The bytes of a file of this project.
pub fn bytes(relative: &str) -> Vec<u8> {
    std::fs::read(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// A JSON file of this project.
pub fn json(relative: &str) -> Value {
    serde_json::from_slice(&bytes(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// A decoded image `[H, W, 3]` in about [-1, 1] as bytes, as diffusers rounds it.
pub fn to_bytes(image: &[f32]) -> Vec<u8> {
    image
        .iter()
        .map(|v| ((v / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8)
        .collect()
}
