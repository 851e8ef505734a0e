//! Error scopes: what wgpu reports of calls, as their result. Every call that can fail is made within
//! one, since wgpu's answer to an error that nobody catches is a panic, and the handler for it belongs
//! to whoever opened the device.

use super::Gpu;
use crate::error::{Error, ErrorKind, Result};
use std::sync::atomic::Ordering;

/// The error of every call on a device that is gone.
pub(super) fn lost() -> Error {
    Error::new(ErrorKind::Device, "the GPU device was lost or destroyed")
}

/// The answer of an error scope, which natively is there at once.
#[cfg(not(target_arch = "wasm32"))]
fn reported_now(answer: impl Future<Output = Option<wgpu::Error>>) -> Option<wgpu::Error> {
    use std::task::{Context, Poll, Waker};
    let answer = std::pin::pin!(answer);
    match answer.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(error) => error,
        Poll::Pending => None,
    }
}

/// The value of calls to wgpu and what the device reported of them.
pub(super) struct Reported<T, F> {
    value: T,
    memory: F,
    validation: F,
}

/// The error scopes around calls to wgpu. They belong to the thread that opens them, so calls on
/// another thread need scopes of their own; the answers may be awaited anywhere.
pub(super) struct Scopes {
    // In the order in which they end.
    memory: wgpu::ErrorScopeGuard,
    validation: wgpu::ErrorScopeGuard,
}

impl Scopes {
    /// Begins to watch the calls of this thread.
    pub(super) fn open(device: &wgpu::Device) -> Self {
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        Scopes { memory: device.push_error_scope(wgpu::ErrorFilter::OutOfMemory), validation }
    }

    /// Ends it; `value` is what the calls made.
    pub(super) fn close<T>(
        self,
        value: T,
    ) -> Reported<T, impl Future<Output = Option<wgpu::Error>> + use<T>> {
        // Both scopes end here; only their answers are waited for.
        let memory = self.memory.pop();
        Reported { value, memory, validation: self.validation.pop() }
    }
}

impl Gpu {
    /// Makes calls to wgpu and turns what it reports of them into an error: `Memory`, or `Device`
    /// beginning with `what`.
    pub(super) async fn guarded<T>(&self, what: &str, calls: impl FnOnce() -> T) -> Result<T> {
        let scopes = Scopes::open(&self.device);
        let value = calls();
        self.judge(what, scopes.close(value)).await
    }

    /// The value, or what was reported as an error.
    pub(super) async fn judge<T, F>(&self, what: &str, reported: Reported<T, F>) -> Result<T>
    where
        F: Future<Output = Option<wgpu::Error>>,
    {
        if reported.memory.await.is_some() || self.beyond_test_capacity() {
            self.failure.out_of_memory.store(true, Ordering::Relaxed);
            let message = format!("{} is out of memory", self.summary().name);
            return Err(Error::new(ErrorKind::Memory, message));
        }
        match reported.validation.await {
            // Calls on a lost device are errors about objects that could not be made.
            Some(_) if self.is_lost() => Err(lost()),
            Some(error) => Err(Error::new(ErrorKind::Device, what).with_source(error.to_string())),
            None => Ok(reported.value),
        }
    }

    /// Makes calls to wgpu without waiting for what it reports of them: an error is kept as the
    /// device's failure, which [`Gpu::finished`] returns.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn watched<T>(&self, calls: impl FnOnce() -> T) -> T {
        let scopes = Scopes::open(&self.device);
        let value = calls();
        let Reported { memory, validation, .. } = scopes.close(());
        if let Some(error) = reported_now(memory).or(reported_now(validation)) {
            self.failure.report(error.to_string());
        }
        value
    }

    /// Makes calls to wgpu. Browsers do not answer at once; an error shows in the next result that is
    /// read back.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn watched<T>(&self, calls: impl FnOnce() -> T) -> T {
        calls()
    }

    /// Whether the device was lost or destroyed. wgpu tells only one callback, which a caller's device
    /// keeps for its caller, so this tries: a lost device makes no buffers.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn is_lost(&self) -> bool {
        let scopes = Scopes::open(&self.device);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("probe"),
            size: 16,
            usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: true,
        });
        let mapped = buffer.get_mapped_range(..).is_ok();
        let Reported { memory, .. } = scopes.close(());
        // Without memory there is no buffer either.
        !mapped && reported_now(memory).is_none()
    }

    /// Whether the device was lost, which browsers tell a callback.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn is_lost(&self) -> bool {
        self.failure.lost.load(Ordering::Relaxed)
    }

    /// Whether the device was lost or destroyed.
    pub(crate) fn was_lost(&self) -> bool {
        self.is_lost() || self.failure.lost.load(Ordering::Relaxed)
    }

    /// Whether the device refused an allocation since this was last asked.
    pub(crate) fn take_out_of_memory(&self) -> bool {
        self.failure.out_of_memory.swap(false, Ordering::Relaxed)
    }

    /// Whether more is allocated than the device has in a test of what happens then.
    fn beyond_test_capacity(&self) -> bool {
        #[cfg(test)]
        if let Some(capacity) = self.capacity {
            let report = self.device.generate_allocator_report();
            return report.is_none_or(|report| report.total_allocated_bytes > capacity);
        }
        false
    }
}
