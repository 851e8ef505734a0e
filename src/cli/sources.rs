//! Options for input pictures: image to image, inpainting.

use super::terminal::note;
use croquis::diffusion::{ImageToImage, Mask, Request};
use croquis::picture::{Decoded, Picture};
use croquis::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// Options for input pictures.
#[derive(clap::Args)]
#[command(next_help_heading = "Input pictures")]
pub struct SourceOptions {
    /// The input picture (PNG, JPEG, WebP) of image to image; its size is the result's, unless
    /// --width or --height say otherwise
    #[arg(short, long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Denoising strength: 0 keeps --image, 1 ignores it [default: 0.8, with --mask 1]
    #[arg(long, value_name = "F", requires = "image", allow_negative_numbers = true)]
    strength: Option<f32>,
    /// The mask over --image: white is repainted, black keeps its exact pixel values
    #[arg(long, value_name = "FILE", requires = "image")]
    mask: Option<PathBuf>,
    /// Blurs the border of --mask by a Gaussian of this standard deviation in pixels
    #[arg(
        long,
        value_name = "F",
        requires = "mask",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    mask_blur: f32,
}

impl SourceOptions {
    /// Reads the pictures and sets them in a request.
    pub fn apply(&self, request: &mut Request) -> Result<()> {
        if let Some(file) = &self.image {
            let picture = open(file, "--image")?;
            let mask = self.mask.as_deref().map(|file| open(file, "--mask")).transpose()?;
            if let (Some(mask), Some(name)) = (&mask, &self.mask) {
                same_size((&picture, file), (mask, name))?;
            }
            let strength = self.strength.unwrap_or(if mask.is_some() { 1.0 } else { 0.8 });
            let mask = mask.map(|picture| Mask { picture, blur: self.mask_blur });
            request.image = Some(ImageToImage { picture, strength, mask });
        }
        Ok(())
    }
}

/// Checks that a mask is as large as its picture.
fn same_size((picture, file): (&Picture, &Path), (mask, name): (&Picture, &Path)) -> Result<()> {
    let size = |picture: &Picture| format!("{}x{}", picture.width(), picture.height());
    if size(picture) == size(mask) {
        return Ok(());
    }
    let message = format!(
        "--mask {}: expected the {} pixels of --image {}, got {}",
        name.display(),
        size(picture),
        file.display(),
        size(mask)
    );
    Err(Error::new(ErrorKind::Argument, message))
}

/// Opens the picture of an option.
pub(super) fn open(file: &Path, option: &'static str) -> Result<Picture> {
    let Decoded { picture, transparent } =
        Decoded::open(file).map_err(|error| error.context(option))?;
    if transparent {
        let shown = file.display();
        note(format!("{option}: {shown}: transparent pixels are blended with white"));
    }
    Ok(picture)
}
