//! Upscalers against spandrel: every architecture, every spelling of its weights' names, tiles, and
//! files that hold something else. The references are made by `tests/golden/make_upscalers.py`.

#[path = "../common/mod.rs"]
mod common;

mod command;
mod files;
mod golden;
mod parity;
mod tiles;
