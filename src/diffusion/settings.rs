//! A request with the model's defaults filled in, checked.

use super::model::Model;
use super::prompts::Prompts;
use super::request::{Framing, Request};
use crate::components::TextOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::models::network::RequestValues;
use crate::picture::{MAX_SIDE, Picture};
use crate::schedulers::Schedule;

/// The guidance scale of CFG++ by default, which is not that of other samplers (arXiv 2406.08070).
const CFG_PP_SCALE: f32 = 0.6;

/// The tokens among which a full chunk looks for a comma: the default of AUTOMATIC1111's web UI.
pub(super) const COMMA_BACKTRACK: usize = 20;

/// A request with every choice made and checked.
pub(super) struct Settings {
    pub height: usize,
    pub width: usize,
    pub steps: usize,
    pub guidance_scale: f32,
    pub guidance_rescale: f32,
    /// Items of the network's batch: 2 with guidance, 1 + n with n prompts that are composed.
    pub copies: usize,
    pub prompts: Prompts,
    pub text: TextOptions,
    pub schedule: Schedule,
    pub framing: Framing,
    pub negative_framing: Option<Framing>,
}

impl Settings {
    /// The texts that are encoded, negative ones first.
    pub(super) fn texts(&self) -> Vec<[&str; 2]> {
        self.prompts.texts.iter().map(|pair| pair.each_ref().map(String::as_str)).collect()
    }

    /// The values from which networks make inputs of their own.
    pub(super) fn values(&self) -> RequestValues {
        let own = [self.height, self.width];
        let sizes = |Framing { original_size, crop, target_size }: Framing| {
            let [original, target] = [original_size, target_size].map(|size| size.unwrap_or(own));
            [original, crop, target]
        };
        let mut all = vec![sizes(self.framing)];
        if let Some(negative) = self.negative_framing.filter(|_| self.copies > 1) {
            all.resize(self.copies, sizes(self.framing));
            all[0] = sizes(negative);
        }
        let (guidance_scale, copies) = (self.guidance_scale, self.copies);
        RequestValues { guidance_scale, sizes: all, copies }
    }

    /// Fills in the model's defaults and checks the request.
    ///
    /// # Errors
    /// `Argument` for an impossible request; `Unsupported` if the model's sampler is.
    pub(super) fn new(model: &Model, request: &Request) -> Result<Settings> {
        check_pictures(model, request)?;
        let image = request.image.as_ref().map(|image| &image.picture);
        let picture = image.or(request.controls.first().map(|control| &control.picture));
        let (width, height) = match picture {
            Some(picture) => (picture.width(), picture.height()),
            None => (
                request.width.unwrap_or(model.defaults.width),
                request.height.unwrap_or(model.defaults.height),
            ),
        };
        if picture.is_some() {
            check_side("width", request.width, width)?;
            check_side("height", request.height, height)?;
        }
        let multiple = model.size_multiple();
        for (axis, pixels) in [("width", width), ("height", height)] {
            if pixels == 0 || pixels % multiple != 0 || pixels > MAX_SIDE {
                let near = pixels.clamp(multiple, MAX_SIDE) / multiple * multiple;
                let message = format!(
                    "{axis}: expected a multiple of {multiple} pixels from {multiple} to \
                     {MAX_SIDE}, such as {near}, got {pixels}"
                );
                return Err(Error::new(ErrorKind::Argument, message));
            }
        }
        let kind = match request.scheduler {
            Some(kind) => kind,
            None => model.scheduler.kind().map_err(|error| {
                error.context("the model's sampler cannot be used; choose another one")
            })?,
        };
        let steps = request.steps.unwrap_or(model.defaults.steps);
        let usual = if kind.is_cfg_pp() { CFG_PP_SCALE } else { model.defaults.guidance_scale };
        let guidance_scale = request.guidance_scale.unwrap_or(usual);
        if !guidance_scale.is_finite() || guidance_scale < 0.0 {
            let message = format!("guidance scale: expected a number from 0, got {guidance_scale}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let guidance_rescale = request.guidance_rescale;
        if !(0.0..=1.0).contains(&guidance_rescale) {
            let message =
                format!("guidance rescale: expected a number from 0 to 1, got {guidance_rescale}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let mut config = match request.spacing {
            Some(spacing) => model.scheduler.with_spacing(spacing),
            None => model.scheduler.clone(),
        };
        if let Some(eta) = request.eta {
            if !kind.has_eta() {
                let message = format!("{kind}: eta: only ddim and tcd have one, got {eta}");
                return Err(Error::new(ErrorKind::Argument, message));
            }
            config.eta = Some(eta);
        }
        let mut schedule = config.schedule_from(kind, steps)?;
        let evaluations = schedule.steps.len();
        match (&request.image, request.denoising_start) {
            (_, Some(start)) => schedule = schedule.starting_at_level(start)?,
            (Some(image), None) => schedule = schedule.starting_at(image.strength)?,
            (None, None) => {}
        }
        if let Some(end) = request.denoising_end {
            schedule = schedule.ending_at_level(end)?;
        }
        // A network that reads the guidance scale was distilled from guided steps. CFG++ needs the
        // unconditional output at every scale.
        let guided =
            (guidance_scale > 1.0 || kind.is_cfg_pp()) && !model.denoiser.facts().reads_guidance;
        let prompts = Prompts::read(request, guided, evaluations)?;
        if !prompts.weights.is_empty() && model.denoiser.facts().reads_guidance {
            let message = "AND composes prompts by guidance, which this model was distilled to do without; \
                           expected one prompt";
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let copies = prompts.batches.first().map_or(1, Vec::len);
        if request.clip_skip == Some(0) {
            let message = "clip skip: expected 1 (the model's own last layer) or more, got 0";
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let skip = request.clip_skip.unwrap_or(1) - 1;
        let text = TextOptions {
            skip,
            plain: request.plain_prompts,
            comma_backtrack: request.comma_backtrack.unwrap_or(COMMA_BACKTRACK),
            negatives: prompts.negatives,
        };
        let settings = Settings {
            height,
            width,
            steps,
            guidance_scale,
            guidance_rescale,
            copies,
            prompts,
            text,
            schedule,
            framing: request.framing,
            negative_framing: request.negative_framing,
        };
        if let Some(latents) = &request.latents {
            check_latents(latents, settings.latent_shape(model))?;
        }
        Ok(settings)
    }

    /// The shape `[C, h, w]` of the latents.
    pub(super) fn latent_shape(&self, model: &Model) -> [usize; 3] {
        let side = model.codec.pixels_per_latent();
        [model.denoiser.facts().channels, self.height / side, self.width / side]
    }
}

/// Checks a side that a request asks for beside a picture.
fn check_side(axis: &str, asked: Option<usize>, pixels: usize) -> Result<()> {
    match asked.filter(|asked| *asked != pixels) {
        Some(asked) => {
            let message = format!("{axis}: expected that of the picture, {pixels}, got {asked}");
            Err(Error::new(ErrorKind::Argument, message))
        }
        None => Ok(()),
    }
}

/// Checks the latents of a request.
fn check_latents(latents: &[f32], [channels, height, width]: [usize; 3]) -> Result<()> {
    let count = channels * height * width;
    if latents.len() == count && latents.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    let message = format!(
        "latents: expected {channels}x{height}x{width} finite values, got {} values",
        latents.len()
    );
    Err(Error::new(ErrorKind::Argument, message))
}

/// Checks that the pictures of a request fit each other and the model.
fn check_pictures(model: &Model, request: &Request) -> Result<()> {
    let fail = |kind, message: &str| Err(Error::new(kind, message));
    if request.denoising_start.is_some() {
        match &request.image {
            Some(image) if image.mask.is_some() => {
                return fail(ErrorKind::Argument, "denoising start: expected no mask beside it");
            }
            None if request.latents.is_none() => {
                return fail(
                    ErrorKind::Argument,
                    "denoising start: expected latents or a picture to start from",
                );
            }
            _ => {}
        }
    }
    let mask =
        request.image.as_ref().and_then(|image| Some((&image.picture, image.mask.as_ref()?)));
    match mask {
        Some((picture, mask)) => mask.check(picture)?,
        None if model.denoiser.facts().inpainting => {
            return fail(
                ErrorKind::Argument,
                "this model paints into pictures: it needs a picture and a mask",
            );
        }
        None => {}
    }
    if let Some(prompt) = &request.image_prompt {
        if !model.denoiser.has_image_prompt() {
            return fail(
                ErrorKind::Argument,
                "a picture was given as a prompt, but no IP-Adapter was loaded",
            );
        }
        if !prompt.scale.is_finite() {
            return fail(ErrorKind::Argument, "the scale of an IP-Adapter must be a finite number");
        }
    }
    check_controls(model.denoiser.controls(), request)
}

/// Checks that there is a control picture for each ControlNet, or none at all, each of the
/// result's size.
fn check_controls(controlnets: usize, request: &Request) -> Result<()> {
    let fail = |message: String| Err(Error::new(ErrorKind::Argument, message));
    let Some(first) = request.controls.first() else { return Ok(()) };
    let got = request.controls.len();
    if controlnets == 0 {
        return fail("a control picture was given, but no ControlNet was loaded".into());
    }
    if controlnets != got {
        return fail(format!(
            "control pictures: expected {controlnets}, one for each ControlNet, got {got}"
        ));
    }
    let size = |picture: &Picture| (picture.width(), picture.height());
    let image = request.image.as_ref().map(|image| size(&image.picture));
    let wanted = image.or(request.width.zip(request.height)).unwrap_or(size(&first.picture));
    for control in &request.controls {
        if !(control.scale.is_finite() && control.start.is_finite() && control.end.is_finite()) {
            return fail("control scale, start and end must be finite numbers".into());
        }
        let ((w, h), (width, height)) = (wanted, size(&control.picture));
        if (w, h) != (width, height) {
            return fail(format!(
                "control picture: expected the result's {w}x{h} pixels, got {width}x{height}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::ModelFiles;

    #[test]
    fn a_size_beside_a_picture_is_the_pictures() -> Result<()> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sd1-tiny");
        let model = Model::open(&ModelFiles::folder(folder)?)?;
        let picture = Picture::new(64, 32, vec![0; 64 * 32 * 3])?;
        let request = Request::new("noise").image(picture, 0.5);
        model.check(&request)?;
        model.check(&request.clone().size(64, 32))?;
        for (width, height, message) in [
            (32, 32, "width: expected that of the picture, 64, got 32"),
            (64, 64, "height: expected that of the picture, 32, got 64"),
        ] {
            let error = model.check(&request.clone().size(width, height)).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Argument, message));
        }
        Ok(())
    }
}
