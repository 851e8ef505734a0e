//! Generation of whole pictures, with retries: in f32 where 16-bit storage overflows, with fewer
//! components in memory where the device refuses an allocation, and on the device opened again where it
//! was lost.

use super::denoised::Denoised;
use super::generated::{Generated, Progress};
use super::request::Request;
use super::run::Run;
use super::session::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::shape::Storage;
use std::ops::ControlFlow;

/// Generates a picture; `progress` is called after every step, and breaking stops the run.
///
/// If a device that [`Gpu::open`](crate::Gpu::open) opened is lost, it is opened again once and the
/// picture made from its first step on; the result says so.
pub(super) async fn generate(
    session: &mut Session,
    request: &Request,
    progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Generated> {
    match with_range(session, request, progress).await {
        Err(error) if session.gpu.was_lost() && session.gpu.can_reopen() => {
            log::warn!("{error}; the device is opened again");
            session.move_to(session.gpu.reopen().await?);
            let mut generated = with_range(session, request, progress).await?;
            generated.notes.push("the GPU device was lost, and opened again".into());
            Ok(generated)
        }
        result => result,
    }
}

/// Generates a picture on a device that works.
///
/// Where the result of 16-bit storage is not finite, the picture is made again with f32; the model
/// then stays at f32, and the result says so.
async fn with_range(
    session: &mut Session,
    request: &Request,
    progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Generated> {
    denoise(session, request, progress).await?.decode(session).await
}

/// [`generate`] without decoding the latents.
pub(super) async fn denoise(
    session: &mut Session,
    request: &Request,
    progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Denoised> {
    let storage = session.gpu.target().storage;
    let error = match within_memory(session, request, progress).await {
        Err(error) if error.kind() == ErrorKind::Numeric && storage != Storage::F32 => error,
        result => return result,
    };
    log::warn!("{error}; trying again with storage f32");
    session.set_storage(Storage::F32)?;
    let overflowed = format!("storage {storage} overflowed");
    match within_memory(session, request, progress).await {
        Ok(mut denoised) => {
            denoised.notes.push(format!("{overflowed}; f32 was used instead"));
            Ok(denoised)
        }
        Err(error) if error.kind() == ErrorKind::Memory => {
            session.set_storage(storage)?;
            Err(error.context(format!("{overflowed}, and with f32")))
        }
        error => error,
    }
}

/// [`attempt`], again with less in memory for as long as the device refuses allocations and there
/// is something to give up.
async fn within_memory(
    session: &mut Session,
    request: &Request,
    progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Denoised> {
    loop {
        match attempt(session, request, progress).await {
            Err(error) if error.kind() == ErrorKind::Memory && session.make_room().await? => {}
            result => return result,
        }
    }
}

async fn attempt(
    session: &mut Session,
    request: &Request,
    progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Denoised> {
    let mut run = Run::start(session, request).await?;
    while let Some(mut done) = run.step().await? {
        if let Some(kind) = request.preview {
            done.preview = run.preview_as(kind).await?;
        }
        if progress(&done).is_break() {
            let message = format!("stopped after step {} of {}", done.step, done.steps);
            return Err(Error::new(ErrorKind::Cancelled, message));
        }
    }
    Ok(run.end().await?.1)
}
