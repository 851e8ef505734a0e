//! Generation by two models, one after the other: an expert for the last noise levels, such as
//! Stable Diffusion XL's refiner, goes on with the latents of the first (Podell et al., arXiv
//! 2307.01952, section 2.5; Balaji et al., eDiff-I, arXiv 2211.01324).

use super::facade::Diffusion;
use super::generate::denoise;
use super::generated::{Generated, Progress};
use super::request::Request;
use super::session::Session;
use super::settings::Settings;
use crate::error::{Error, ErrorKind, Result};
use std::ops::ControlFlow;

impl Diffusion {
    /// Generates a picture by two models in turn: by this one up to the share `start` of the noise
    /// levels (0.8, say), and by `refiner` from there on, such as Stable Diffusion XL's refiner. Both
    /// get the request; pictures for ControlNets and a picture to start from are the first one's.
    ///
    /// Where both models do not fit a [budget](Diffusion::set_memory_budget), or none is known, they
    /// are loaded and dropped in turn.
    ///
    /// # Errors
    /// As [`generate_with`](Diffusion::generate_with), for both; `Argument` if `start` leaves no step
    /// to one of them, or the request has a mask.
    pub async fn generate_refined(
        &mut self,
        refiner: &mut Diffusion,
        request: &Request,
        start: f32,
        mut progress: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Generated> {
        refine(&mut self.session, &mut refiner.session, request, start, &mut progress).await
    }
}

/// Generates a picture by `base` up to the share `start` of the noise levels and by `refiner` from
/// there on. Where both do not fit the budget of the second, the first makes way.
async fn refine(
    base: &mut Session,
    refiner: &mut Session,
    request: &Request,
    start: f32,
    progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Generated> {
    let [first, mut second] = requests(base, request, start)?;
    // An impossible request fails before the first model is loaded.
    let counts = [
        Settings::new(&base.model, &first)?.schedule.steps.len(),
        Settings::new(&refiner.model, &second)?.schedule.steps.len(),
    ];
    let mut told = |done: &Progress, before: usize| {
        let steps = counts.iter().sum();
        progress(&Progress { step: before + done.step, steps, ..done.clone() })
    };
    make_way(base, refiner, &first)?;
    let beside = refiner.model.bytes();
    let denoised = denoise(base, &first, &mut |done: &Progress| told(done, 0)).await?;
    second.latents = Some(denoised.latents);
    make_way(refiner, base, &second)?;
    let beside = [beside, base.model.bytes()];
    let refined = denoise(refiner, &second, &mut |done: &Progress| told(done, counts[0])).await?;
    let mut generated = refined.decode(refiner).await?;
    generated.timings.add(&denoised.timings);
    let peaks = [denoised.peak_bytes + beside[0], generated.peak_bytes + beside[1]];
    generated.peak_bytes = peaks[0].max(peaks[1]);
    let notes = std::mem::replace(&mut generated.notes, denoised.notes);
    generated.notes.extend(notes);
    generated.notes.dedup();
    Ok(generated)
}

/// The requests of both models; the second one's latents are those of the first.
fn requests(base: &Session, request: &Request, start: f32) -> Result<[Request; 2]> {
    let bad = |message: &str| Err(Error::new(ErrorKind::Argument, message));
    if request.denoising_start.is_some() || request.denoising_end.is_some() {
        return bad("refiner: expected a request for all noise levels, got one for some of them");
    }
    if request.image.as_ref().is_some_and(|image| image.mask.is_some()) {
        return bad("refiner: expected no mask; inpaint with one model, then refine the picture");
    }
    if request.hires.is_some() {
        return bad("refiner: expected one pass, got a request for a second one at a larger size");
    }
    let [_, height, width] = base.model.latent_shape(request)?;
    let side = base.model.codec.pixels_per_latent();
    let first = Request { denoising_end: Some(start), ..request.clone() };
    let second = Request {
        denoising_start: Some(start),
        width: Some(width * side),
        height: Some(height * side),
        // A stand-in of the right shape, until there are latents.
        latents: Some(vec![0.0; base.model.denoiser.facts().channels * height * width]),
        image: None,
        controls: Vec::new(),
        ..request.clone()
    };
    Ok([first, second])
}

/// Unloads `other` where a request by `session` may not fit beside it.
fn make_way(session: &Session, other: &mut Session, request: &Request) -> Result<()> {
    let needed = session.model.memory(request, session.gpu.target())?.together();
    let both = needed.saturating_add(other.model.bytes());
    if session.budget.crowded || session.budget.bytes().is_none_or(|budget| both > budget) {
        other.model.unload_all_but(None);
    }
    Ok(())
}
