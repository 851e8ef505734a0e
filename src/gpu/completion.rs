//! Waiting for callbacks of the GPU: as futures, and blocking where that is wanted.

use super::guard::lost;
use crate::error::Result;
use futures_channel::oneshot;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future of the value that a callback of the device delivers; fails when the device is lost.
///
/// Natively nobody calls back unless the device is polled, so the future polls it whenever it is
/// polled itself; under [`block_on`] the thread sleeps in the driver between two polls.
pub(super) struct Completion<T> {
    value: oneshot::Receiver<T>,
    device: wgpu::Device,
}

/// A channel from a callback of the device to a future.
pub(super) fn completion<T>(device: &wgpu::Device) -> (oneshot::Sender<T>, Completion<T>) {
    let (sender, value) = oneshot::channel();
    (sender, Completion { value, device: device.clone() })
}

impl<T> Future for Completion<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        if let Poll::Ready(value) = Pin::new(&mut self.value).poll(context) {
            return Poll::Ready(value.map_err(|_| lost()));
        }
        if cfg!(target_arch = "wasm32") {
            return Poll::Pending;
        }
        let alive = poll_device(&self.device, wgpu::PollType::Poll);
        match Pin::new(&mut self.value).poll(context) {
            Poll::Ready(value) => Poll::Ready(value.map_err(|_| lost())),
            Poll::Pending if !alive => Poll::Ready(Err(lost())),
            Poll::Pending => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// Lets the device call back what is due; returns whether it still can. wgpu panics in `poll` when a
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
    let mut context = Context::from_waker(std::task::Waker::noop());
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
