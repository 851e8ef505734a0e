//! Upscalers against spandrel: every architecture, every spelling of its weights' names, tiles, files
//! that hold something else; and second passes at a larger size. The references are made by `tests/golden/make_upscalers.py`.

#[path = "../common/mod.rs"]
mod common;

mod command;
mod files;
mod golden;
mod hires;
mod parity;
mod tiles;
