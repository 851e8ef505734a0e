//! Error scopes: what wgpu reports of calls, as their result.

use super::Gpu;
use crate::error::{Error, ErrorKind, Result};
use std::sync::atomic::Ordering;

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
            Some(error) => Err(Error::new(ErrorKind::Device, what).with_source(error.to_string())),
            None => Ok(reported.value),
        }
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
