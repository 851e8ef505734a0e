//! Waiting for the GPU without blocking an async caller, and blocking where that is wanted.

use crate::error::{Error, ErrorKind, Result};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Resolves when a callback of the device has delivered its value, or fails when the device is lost.
///
/// Natively nobody calls back unless the device is polled, so the future polls it whenever it is
/// polled itself; under [`block_on`] the thread sleeps in the driver between two polls.
pub(super) struct Completion<T> {
    shared: Arc<Mutex<Shared<T>>>,
    device: wgpu::Device,
}

struct Shared<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

/// The other end of a [`Completion`].
pub(super) struct Sender<T>(Arc<Mutex<Shared<T>>>);

pub(super) fn completion<T>(device: &wgpu::Device) -> (Sender<T>, Completion<T>) {
    let shared = Arc::new(Mutex::new(Shared { value: None, waker: None }));
    (Sender(shared.clone()), Completion { shared, device: device.clone() })
}

impl<T> Sender<T> {
    pub(super) fn send(self, value: T) {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.value = Some(value);
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Completion<T> {
    fn take(&self, waker: &Waker) -> Option<T> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.waker = Some(waker.clone());
        shared.value.take()
    }
}

impl<T> Future for Completion<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        if let Some(value) = self.take(context.waker()) {
            return Poll::Ready(Ok(value));
        }
        if cfg!(target_arch = "wasm32") {
            return Poll::Pending;
        }
        let alive = poll_device(&self.device, wgpu::PollType::Poll);
        match self.take(context.waker()) {
            Some(value) => Poll::Ready(Ok(value)),
            None if !alive => Poll::Ready(Err(Error::new(
                ErrorKind::Device,
                "the connection to the GPU was lost",
            ))),
            None => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// Lets the device work on its callbacks; whether it still can. wgpu panics in `poll` when a
/// device is lost, and then calls nobody back.
fn poll_device(device: &wgpu::Device, poll: wgpu::PollType) -> bool {
    // A timeout is an error of `poll`, and none here.
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| device.poll(poll)));
    polled.is_ok()
}

/// Runs a future to its end on this thread, which sleeps while the GPU works.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn block_on<F: Future>(device: Option<&wgpu::Device>, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        match device {
            Some(device) => {
                let wait = wgpu::PollType::Wait {
                    submission_index: None,
                    timeout: Some(std::time::Duration::from_secs(1)),
                };
                // A lost device shows when the future itself polls it.
                poll_device(device, wait);
            }
            None => std::thread::yield_now(),
        }
    }
}
