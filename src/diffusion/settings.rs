//! A request with the model's defaults filled in, checked.

use super::denoiser::{SIZES, Sizes};
use super::model::Model;
use super::request::{Framing, Request};
use super::text::TextOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::schedulers::Schedule;

/// The longest side of a picture, in pixels.
const MAX_PIXELS: usize = 16_384;

/// A request with every choice made and checked.
pub(super) struct Settings {
    pub height: usize,
    pub width: usize,
    pub steps: usize,
    pub guidance_scale: f32,
    /// Network evaluations a step: 2 with guidance.
    pub copies: usize,
    pub text: TextOptions,
    pub schedule: Schedule,
    pub framing: Framing,
}

impl Settings {
    /// What is encoded of a request: with guidance the negative prompt first.
    pub(super) fn texts<'r>(&self, request: &'r Request) -> Vec<&'r str> {
        let texts = [request.negative_prompt.as_str(), request.prompt.as_str()];
        texts[2 - self.copies..].to_vec()
    }

    /// What SDXL is told of the picture: its original size, where the crop begins, its size.
    pub(super) fn sizing(&self) -> [f32; SIZES] {
        let own = [self.height, self.width];
        let Framing { original_size, crop, target_size } = self.framing;
        let [original, target] = [original_size, target_size].map(|size| size.unwrap_or(own));
        [original[0], original[1], crop[0], crop[1], target[0], target[1]].map(|v| v as f32)
    }
}

impl Model {
    /// The sizes of the denoiser's programs.
    ///
    /// # Errors
    /// `Format` if the tokenizer is damaged.
    pub(super) fn sizes(&self, request: &Request, settings: &Settings) -> Result<Sizes> {
        let side = self.codec.pixels_per_latent();
        Ok(Sizes {
            height: settings.height / side,
            width: settings.width / side,
            copies: settings.copies,
            steps: settings.schedule.steps.len(),
            tokens: self.text.tokens(&settings.texts(request), settings.text)?,
            text_width: self.text.width(),
            control: request.control.as_ref().map(|_| side),
        })
    }

    /// The request with the model's defaults filled in, checked.
    pub(super) fn settings(&self, request: &Request) -> Result<Settings> {
        self.check_pictures(request)?;
        let image = request.image.as_ref().map(|image| &image.picture);
        let picture = image.or(request.control.as_ref().map(|control| &control.picture));
        let (width, height) = match picture {
            Some(picture) => (picture.width(), picture.height()),
            None => (
                request.width.unwrap_or(self.defaults.width),
                request.height.unwrap_or(self.defaults.height),
            ),
        };
        let multiple = self.codec.pixels_per_latent();
        for (axis, pixels) in [("width", width), ("height", height)] {
            if pixels == 0 || pixels % multiple != 0 || pixels > MAX_PIXELS {
                let near = pixels.clamp(multiple, MAX_PIXELS) / multiple * multiple;
                let message = format!(
                    "{axis}: expected a multiple of {multiple} pixels from {multiple} to \
                     {MAX_PIXELS}, such as {near}, got {pixels}"
                );
                return Err(Error::new(ErrorKind::Argument, message));
            }
        }
        let kind = match request.scheduler {
            Some(kind) => kind,
            None => self.scheduler.kind().map_err(|error| {
                error.context("the model's sampler cannot be used; choose another one")
            })?,
        };
        let steps = request.steps.unwrap_or(self.defaults.steps);
        let guidance_scale = request.guidance_scale.unwrap_or(self.defaults.guidance_scale);
        if !guidance_scale.is_finite() || guidance_scale < 0.0 {
            let message = format!("guidance scale: expected a number from 0, got {guidance_scale}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let spaced = request.spacing.map(|spacing| self.scheduler.with_spacing(spacing));
        let mut schedule = spaced.as_ref().unwrap_or(&self.scheduler).schedule_from(kind, steps)?;
        if let Some(image) = &request.image {
            schedule = schedule.starting_at(image.strength)?;
        }
        // A network that reads the guidance scale was distilled from guided steps.
        let guided = guidance_scale > 1.0 && self.denoiser.guidance_width.is_none();
        let copies = if guided { 2 } else { 1 };
        if request.clip_skip == Some(0) {
            let message = "clip skip: expected 1 (the model's own last layer) or more, got 0";
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let skip = request.clip_skip.unwrap_or(1) - 1;
        let text = TextOptions { skip, plain: request.plain_prompts, negative: copies == 2 };
        let framing = request.framing;
        Ok(Settings { height, width, steps, guidance_scale, copies, text, schedule, framing })
    }

    /// Checks that the pictures of a request fit each other and the model.
    fn check_pictures(&self, request: &Request) -> Result<()> {
        let fail = |kind, message: &str| Err(Error::new(kind, message));
        let mask =
            request.image.as_ref().and_then(|image| Some((&image.picture, image.mask.as_ref()?)));
        match mask {
            Some((picture, mask)) => mask.check(picture)?,
            None if self.denoiser.inpainting => {
                return fail(
                    ErrorKind::Argument,
                    "this model paints into pictures: it needs a picture and a mask",
                );
            }
            None => {}
        }
        let Some(control) = &request.control else { return Ok(()) };
        if !self.denoiser.has_control() {
            return fail(
                ErrorKind::Argument,
                "a control picture was given, but no ControlNet was loaded",
            );
        }
        if !(control.scale.is_finite() && control.start.is_finite() && control.end.is_finite()) {
            return fail(
                ErrorKind::Argument,
                "control scale, start and end must be finite numbers",
            );
        }
        let (width, height) = (control.picture.width(), control.picture.height());
        let image =
            request.image.as_ref().map(|image| (image.picture.width(), image.picture.height()));
        let wanted = image.or(request.width.zip(request.height));
        if let Some((w, h)) = wanted.filter(|wanted| *wanted != (width, height)) {
            let message = format!(
                "control picture: expected the result's {w}x{h} pixels, got {width}x{height}"
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(())
    }
}
