//! Options for contact sheets.

use clap::Args;
use croquis::{Error, ErrorKind, Result};

/// Options for contact sheets.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub struct GridOptions {
    /// Draw a contact sheet of all combinations of some values, such as "steps=10,20;guidance=3,7":
    /// columns by the first option, rows by the second; \, and \; are characters of a value
    #[arg(long, value_name = "NAME=VALUES[;NAME=VALUES]")]
    grid: Option<String>,
    /// Save every picture of --grid too, with its own settings, row by row under numbered names
    #[arg(long)]
    pub grid_cells: bool,
}

impl GridOptions {
    /// The axes of a sheet, as text; none of an empty text, by which one picture is drawn with the
    /// settings of a sheet.
    ///
    /// # Errors
    /// `Argument` for an option that needs a sheet without one.
    pub fn axes(&self) -> Result<Option<&str>> {
        if self.grid_cells && self.grid.is_none() {
            return Err(Error::new(ErrorKind::Argument, "--grid-cells: expected --grid beside it"));
        }
        Ok(self.grid.as_deref().filter(|axes| !axes.trim().is_empty()))
    }
}
