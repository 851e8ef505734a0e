//! Options for a picture that prompts beside the text: an IP-Adapter.

use super::sources::open;
use croquis::diffusion::{IpAdapter, Model, Request};
use croquis::files::ModelFiles;
use croquis::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// Options for an IP-Adapter.
#[derive(clap::Args)]
#[command(next_help_heading = "IP-Adapter")]
pub struct IpAdapterOptions {
    /// An IP-Adapter's file: it adds --ip-image to the prompt
    #[arg(long, value_name = "FILE", requires = "ip_image")]
    ip_adapter: Option<PathBuf>,
    /// The picture that prompts, of any size; the middle square of it counts
    #[arg(long, value_name = "FILE", requires = "ip_adapter")]
    ip_image: Option<PathBuf>,
    /// The strength of --ip-image; 0 leaves it out
    #[arg(
        long,
        value_name = "F",
        requires = "ip_adapter",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    ip_scale: f32,
    /// The image encoder of --ip-adapter [default: image_encoder beside the file]
    #[arg(long, value_name = "DIR", requires = "ip_adapter")]
    image_encoder: Option<PathBuf>,
}

impl IpAdapterOptions {
    /// Adds the adapter to the model.
    pub fn load(&self, model: &mut Model) -> Result<()> {
        let Some(file) = &self.ip_adapter else { return Ok(()) };
        let folder = match &self.image_encoder {
            Some(folder) => folder.clone(),
            None => file.parent().unwrap_or(Path::new("")).join("image_encoder"),
        };
        if !folder.is_dir() {
            let shown = folder.display();
            let message = format!(
                "--image-encoder: {shown}: expected the folder of an image encoder, there is none"
            );
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let encoder = ModelFiles::open(&folder).map_err(|e| e.context("--image-encoder"))?;
        let set = IpAdapter::open(file, &encoder).and_then(|a| model.set_ip_adapter(Some(a)));
        set.map_err(|error| error.context("--ip-adapter"))
    }

    /// Reads the picture and sets it in a request.
    pub fn apply(&self, request: &mut Request) -> Result<()> {
        let Some(file) = &self.ip_image else { return Ok(()) };
        let prompted = std::mem::take(request);
        *request = prompted.image_prompt(open(file, "--ip-image")?, self.ip_scale);
        Ok(())
    }
}
