//! Options for the size of pictures.

use crate::cli::resize::{Resize, resize};
use clap::Args;
use croquis::Result;
use croquis::diffusion::{Model, Request};

/// Options for the size of pictures.
#[derive(Args)]
#[command(next_help_heading = "Picture")]
pub struct PictureOptions {
    /// Width in pixels [default: the input picture's, or the model's]
    #[arg(short = 'W', long, value_name = "PIXELS")]
    width: Option<usize>,
    /// Height in pixels [default: the input picture's, or the model's]
    #[arg(short = 'H', long, value_name = "PIXELS")]
    height: Option<usize>,
    /// How input pictures of another size than --width and --height are used
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Resize::Crop)]
    resize: Resize,
}

impl PictureOptions {
    /// Sets the size in a request.
    pub fn apply(&self, request: &mut Request) {
        request.width = self.width;
        request.height = self.height;
    }

    /// Brings the pictures of a request to the size of the result.
    pub fn resize(&self, model: &Model, request: &mut Request) -> Result<()> {
        resize(self.resize, [self.width, self.height], model, request)
    }
}
