//! Generation in one pass, or in two: what a first one drew is enlarged and drawn over at the larger
//! size.

use super::generate;
use super::generated::{Generated, Progress};
use super::request::Request;
use super::second_pass::Passes;
use super::session::Session;
use crate::error::{ErrorKind, Result};
use crate::picture::Picture;
use std::ops::ControlFlow;
use web_time::Instant;

/// Generates a picture of a request, as [`generate::generate`]. Both passes are planned before the
/// first one begins, and `progress` counts the steps of both.
pub(super) async fn generate(
    session: &mut Session,
    request: &Request,
    progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Generated> {
    let passes = Passes::new(&session.model, request)?;
    let (Some(hires), Some(passes)) = (&request.hires, passes) else {
        return generate::generate(session, request, progress).await;
    };
    let planned = session.fit(&passes.second).map_err(|error| error.context("hires"))?;
    let second_bytes = planned.0.memory.together();
    let mut peak_bytes = 0;
    if let Some(upscaler) = &mut session.upscaler {
        upscaler.bound(session.budget.limit);
        peak_bytes = upscaler.needed_bytes(passes.from)?;
    }

    let steps = passes.steps.iter().sum();
    let mut count = |done: &Progress| progress(&Progress { steps, ..done.clone() });
    let first = generate::generate(session, request, &mut count).await?;

    let started = Instant::now();
    let enlarged = enlarge(session, &first.picture, &passes, second_bytes).await?;
    let upscale = started.elapsed();

    let second = hires.second(request, enlarged)?;
    let mut count = |done: &Progress| {
        progress(&Progress { step: passes.steps[0] + done.step, steps, ..done.clone() })
    };
    let mut generated = generate::generate(session, &second, &mut count).await?;
    let mut notes = first.notes;
    notes.extend(
        generated.notes.into_iter().filter(|note| !notes.contains(note)).collect::<Vec<_>>(),
    );
    generated.notes = notes;
    generated.steps = first.steps;
    generated.first_size = Some(passes.from);
    generated.peak_bytes = generated.peak_bytes.max(first.peak_bytes).max(peak_bytes);
    generated.timings.upscale = upscale;
    generated.timings.add(&first.timings);
    Ok(generated)
}

/// The picture of the first pass at the size of the second: by the upscaler, if there is one, and then
/// by Lanczos' filter where the upscaler's factor is another. The upscaler stays on the device where there
/// is room for the second pass beside it.
async fn enlarge(
    session: &mut Session,
    picture: &Picture,
    passes: &Passes,
    second_bytes: u64,
) -> Result<Picture> {
    let [width, height] = passes.to;
    let budget = session.budget.bytes().unwrap_or(u64::MAX);
    let Session { gpu, model, upscaler: Some(upscaler), budget: memory, .. } = session else {
        return picture.resized(width, height);
    };
    let others = model.bytes();
    if memory.crowded || others.saturating_add(upscaler.needed_bytes(passes.from)?) > budget {
        model.unload_all_but(None);
        gpu.finished().await?;
    }
    let upscaled = match upscaler.upscale(picture).await {
        Err(error) if error.kind() == ErrorKind::Memory && model.bytes() > 0 => {
            memory.crowded = true;
            model.unload_all_but(None);
            gpu.finished().await?;
            upscaler.upscale(picture).await?
        }
        upscaled => upscaled?,
    };
    if memory.crowded || upscaler.bytes().saturating_add(second_bytes) > budget {
        upscaler.unload();
        gpu.finished().await?;
    }
    match (upscaled.width(), upscaled.height()) == (width, height) {
        true => Ok(upscaled),
        false => upscaled.resized(width, height),
    }
}
