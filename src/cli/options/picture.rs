//! Options for the size of pictures.

use clap::Args;
use croquis::diffusion::Request;

/// Options for the size of pictures.
#[derive(Args)]
#[command(next_help_heading = "Picture")]
pub struct PictureOptions {
    /// Width in pixels [default: the model's]
    #[arg(short = 'W', long, value_name = "PIXELS")]
    width: Option<usize>,
    /// Height in pixels [default: the model's]
    #[arg(short = 'H', long, value_name = "PIXELS")]
    height: Option<usize>,
}

impl PictureOptions {
    /// Sets the size in a request.
    pub fn apply(&self, request: &mut Request) {
        request.width = self.width;
        request.height = self.height;
    }
}
