//! The upscaler of a [`Diffusion`]'s second passes.

use super::facade::Diffusion;
use crate::components::Upscaler;

impl Diffusion {
    /// Sets the upscaler that enlarges pictures between the two passes of
    /// [`Request::hires`](super::Request::hires), in place of Lanczos' filter; `None` is the filter. It
    /// keeps within the model's memory budget.
    pub fn set_upscaler(&mut self, upscaler: Option<Upscaler>) {
        self.session.upscaler = upscaler;
    }

    /// The upscaler of second passes, if one is set.
    pub fn upscaler(&self) -> Option<&Upscaler> {
        self.session.upscaler.as_ref()
    }
}
