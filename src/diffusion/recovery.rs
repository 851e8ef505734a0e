//! Recovery of a [`Diffusion`] whose device was lost.

use super::facade::Diffusion;
use crate::error::Result;
use crate::gpu::Gpu;

impl Diffusion {
    /// Opens the device again after it was lost or failed (errors of kind `Device`), and drops what was
    /// on it. The model stays with all its additions; the next picture uploads weights and compiles
    /// kernels anew. [`generate`](Diffusion::generate) does so by itself, once.
    ///
    /// # Errors
    /// As [`Gpu::reopen`]; a caller's device is replaced with [`set_gpu`](Diffusion::set_gpu).
    pub async fn recover(&mut self) -> Result<()> {
        let gpu = self.session.gpu.reopen().await?;
        self.set_gpu(&gpu);
        Ok(())
    }

    /// [`recover`](Diffusion::recover), blocking this thread.
    ///
    /// # Errors
    /// As [`recover`](Diffusion::recover).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn recover_blocking(&mut self) -> Result<()> {
        let gpu = self.session.gpu.reopen_blocking()?;
        self.set_gpu(&gpu);
        Ok(())
    }

    /// Moves the model to another device; everything on the old one is dropped. A memory budget that
    /// was set stays.
    pub fn set_gpu(&mut self, gpu: &Gpu) {
        self.session.move_to(gpu.clone());
    }
}
