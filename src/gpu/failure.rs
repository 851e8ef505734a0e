//! What a device reported outside of error scopes.

use crate::error::{Error, ErrorKind, Result};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

/// The failures that a device reported.
#[derive(Clone, Default)]
pub(super) struct Failure {
    /// The first error that no error scope caught.
    first: Arc<Mutex<Option<String>>>,
    /// Whether the device reported that it was lost.
    pub(super) lost: Arc<AtomicBool>,
    /// Whether an allocation was refused since this was last asked for.
    pub(super) out_of_memory: Arc<AtomicBool>,
}

impl Failure {
    pub(super) fn report(&self, message: String) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
    }

    pub(super) fn check(&self) -> Result<()> {
        match self.first.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(message) => {
                Err(Error::new(ErrorKind::Device, format!("the GPU failed: {message}")))
            }
            None => Ok(()),
        }
    }
}
