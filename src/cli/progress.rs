//! Progress bars, shown on a terminal only, and not with `--quiet`.

use super::terminal::is_quiet;
use croquis::diffusion::{Progress, TileProgress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// A line on standard error that shows the progress of the work.
pub struct Meter(ProgressBar);

impl Meter {
    /// A spinner for work of unknown length.
    pub fn waiting(message: &'static str) -> Meter {
        let bar = shown(ProgressBar::new_spinner()).with_message(message);
        bar.enable_steady_tick(Duration::from_millis(100));
        Meter(bar)
    }

    /// A bar for a number of parts.
    pub fn counting(parts: usize) -> Meter {
        let bar = shown(ProgressBar::new(parts as u64));
        bar.set_style(counted());
        Meter(bar)
    }

    /// A bar for a download whose size is not known yet.
    #[cfg(feature = "hub")]
    pub fn bytes() -> Meter {
        let bar = shown(ProgressBar::new(0));
        let template = "{bar:32} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}";
        bar.set_style(style(template));
        Meter(bar)
    }

    /// Shows the progress of a download.
    #[cfg(feature = "hub")]
    pub fn transfer(&self, transfer: &croquis::hub::Transfer<'_>) {
        if self.0.length() != Some(transfer.total_bytes) {
            self.0.set_length(transfer.total_bytes);
        }
        if self.0.message() != transfer.file {
            self.0.set_message(transfer.file.to_string());
        }
        self.0.set_position(transfer.bytes);
    }

    /// Shows a finished sampling step.
    pub fn step(&self, progress: &Progress) {
        let steps = progress.steps as u64;
        if self.0.length() != Some(steps) {
            self.0.set_length(steps);
            self.0.set_style(counted());
        }
        self.0.set_message(format!("{:.2} s a step", progress.time.as_secs_f64()));
        self.0.set_position(progress.step as u64);
    }

    /// Shows a finished tile of a picture.
    pub fn tile(&self, progress: &TileProgress) {
        let tiles = progress.tiles as u64;
        if self.0.length() != Some(tiles) {
            self.0.set_length(tiles);
            self.0.set_style(counted());
        }
        self.0.set_message(format!("{:.2} s a tile", progress.time.as_secs_f64()));
        self.0.set_position(progress.tile as u64);
    }

    /// Counts one more finished part.
    pub fn advance(&self) {
        self.0.inc(1);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar that is drawn only where the user wants to be told of progress.
fn shown(bar: ProgressBar) -> ProgressBar {
    if is_quiet() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

fn counted() -> ProgressStyle {
    style("{bar:32} {pos}/{len}  {msg}  {eta} left")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
