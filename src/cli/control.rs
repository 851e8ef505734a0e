//! Options for ControlNets: their files, pictures and strengths.

use super::sources::open;
use croquis::diffusion::{Control, ControlNet, Model, Request};
use croquis::files::ModelFiles;
use croquis::{Error, ErrorKind, Result};
use std::path::PathBuf;

/// Options for ControlNets. Those of several are in the same order; one strength, start or end is
/// that of all.
#[derive(clap::Args)]
#[command(next_help_heading = "ControlNet")]
pub struct ControlOptions {
    /// A ControlNet, steered by --control-image; repeat both for several
    #[arg(long = "controlnet", value_name = "DIR|FILE", requires = "control_image")]
    controlnets: Vec<PathBuf>,
    /// The control picture of --controlnet, such as white edges on black; its size is the
    /// result's, unless --image, --width or --height say otherwise
    #[arg(
        long = "control-image",
        id = "control_image",
        value_name = "FILE",
        requires = "controlnets"
    )]
    images: Vec<PathBuf>,
    /// Conditioning scale of --controlnet [default: 1]
    #[arg(
        long = "control-scale",
        value_name = "F",
        requires = "controlnets",
        allow_negative_numbers = true
    )]
    scales: Vec<f32>,
    /// Fraction of the steps at which --controlnet starts [default: 0]
    #[arg(long = "control-start", value_name = "F", requires = "controlnets")]
    starts: Vec<f64>,
    /// Fraction of the steps at which --controlnet ends [default: 1]
    #[arg(long = "control-end", value_name = "F", requires = "controlnets")]
    ends: Vec<f64>,
}

impl ControlOptions {
    /// Adds the ControlNets to the model.
    pub fn load(&self, model: &mut Model) -> Result<()> {
        let read = |path| ModelFiles::open(path).and_then(|files| ControlNet::open(&files));
        let controlnets = self.controlnets.iter().map(read).collect::<Result<Vec<_>>>();
        let set = controlnets.and_then(|controlnets| model.set_controlnets(controlnets));
        set.map_err(|error| error.context("--controlnet"))
    }

    /// Reads the control pictures and sets them in a request.
    pub fn apply(&self, request: &mut Request) -> Result<()> {
        let (expected, got) = (self.controlnets.len(), self.images.len());
        if expected != got {
            return Err(differs("--control-image", &expected.to_string(), got));
        }
        let scales = self.each("--control-scale", &self.scales, 1.0)?;
        let starts = self.each("--control-start", &self.starts, 0.0)?;
        let ends = self.each("--control-end", &self.ends, 1.0)?;
        for (index, file) in self.images.iter().enumerate() {
            let picture = open(file, "--control-image")?;
            let (scale, start, end) = (scales[index], starts[index], ends[index]);
            request.controls.push(Control { picture, scale, start, end });
        }
        Ok(())
    }

    /// The values of an option for each ControlNet: those given, the one for all, or the default.
    fn each<T: Copy>(&self, option: &str, given: &[T], default: T) -> Result<Vec<T>> {
        let count = self.controlnets.len();
        match given {
            [] => Ok(vec![default; count]),
            [one] => Ok(vec![*one; count]),
            _ if given.len() == count => Ok(given.to_vec()),
            _ => Err(differs(option, &format!("1 or {count}"), given.len())),
        }
    }
}

fn differs(option: &str, expected: &str, got: usize) -> Error {
    let message = format!("{option}: expected {expected}, one for each --controlnet, got {got}");
    Error::new(ErrorKind::Argument, message)
}
