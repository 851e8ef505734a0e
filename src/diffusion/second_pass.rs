//! The second of two passes as a request of its own, and both as they are planned.

use super::hires::Hires;
use super::model::Model;
use super::request::{ImageToImage, Request};
use super::settings::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::picture::{MAX_SIDE, Picture};

/// The most by which a second pass enlarges.
const MAX_SCALE: f32 = 8.0;

impl Hires {
    /// Width and height of the second pass, for those of the first.
    ///
    /// # Errors
    /// `Argument` if the factor or the size is out of range.
    pub(super) fn size(&self, model: &Model, first: [usize; 2]) -> Result<[usize; 2]> {
        if !(1.0..=MAX_SCALE).contains(&self.scale) {
            let message =
                format!("hires: expected a factor from 1 to {MAX_SCALE}, got {}", self.scale);
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let multiple = model.codec.pixels_per_latent() * model.denoiser.facts().patch;
        let size = first.map(|side| {
            let large = side as f64 * f64::from(self.scale) / multiple as f64;
            large.round() as usize * multiple
        });
        if size.iter().any(|side| *side > MAX_SIDE) {
            let message = format!(
                "hires: expected sides of at most {MAX_SIDE} pixels, got {}x{}",
                size[0], size[1]
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(size)
    }

    /// The request for the second pass over a picture of its size.
    ///
    /// # Errors
    /// As [`Picture::resized`].
    pub(super) fn second(&self, request: &Request, picture: Picture) -> Result<Request> {
        let mut second = Request { hires: None, latents: None, ..request.clone() };
        second.steps = self.steps.or(request.steps);
        (second.width, second.height) = (None, None);
        for control in &mut second.controls {
            control.picture = control.picture.resized(picture.width(), picture.height())?;
        }
        second.image = Some(ImageToImage { picture, strength: self.strength, mask: None });
        Ok(second)
    }
}

/// The two passes of a request, before anything is drawn.
pub(super) struct Passes {
    /// Width and height of the first pass.
    pub from: [usize; 2],
    /// Width and height of the second pass.
    pub to: [usize; 2],
    /// The steps that are run in each.
    pub steps: [usize; 2],
    /// The second pass over a picture that is not drawn yet.
    pub second: Request,
}

impl Passes {
    /// Reads and checks both passes of a request; `None` if it has only one.
    ///
    /// # Errors
    /// `Argument` for an impossible request.
    pub(super) fn new(model: &Model, request: &Request) -> Result<Option<Passes>> {
        let Some(hires) = &request.hires else { return Ok(None) };
        if request.image.is_some() {
            let message = "hires: expected text to image, got a picture to start from";
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let first = Settings::new(model, request)?;
        let from = [first.width, first.height];
        let to @ [width, height] = hires.size(model, from)?;
        let blank = Picture::new(width, height, vec![0; 3 * width * height])?;
        let second = hires.second(request, blank)?;
        let settings = Settings::new(model, &second).map_err(|error| error.context("hires"))?;
        let steps = [&first, &settings].map(|settings| settings.schedule.steps.len());
        Ok(Some(Passes { from, to, steps, second }))
    }
}
