//! What a run tells the denoiser once, before the steps.

use super::denoiser::{Programs, SIZES};
use crate::error::Result;

/// The inputs of the denoiser that stay the same for all steps; what a model does not read is
/// `None`.
pub(super) struct Conditions {
    /// Timesteps of all steps.
    pub timesteps: Vec<f32>,
    /// Text embeddings `[copies, T, D]`.
    pub context: Vec<f32>,
    /// Pooled text embeddings `[copies, P]`, and what SDXL is told of sizes and crop.
    pub sizing: Option<(Vec<f32>, [f32; SIZES])>,
    /// Embedding of the guidance scale.
    pub guidance: Option<Vec<f32>>,
    /// Mask and latents of the masked picture, `[h, w, 1 + C]`.
    pub masked: Option<Vec<f32>>,
    /// What the ControlNet sees, `[H, W, 3]` in [0, 1].
    pub picture: Option<Vec<f32>>,
}

impl Conditions {
    /// Writes them to the programs that read them: what only the steps need is an input of theirs.
    pub(super) fn write(&self, programs: &Programs, copies: usize) -> Result<()> {
        let Programs { prepare, step } = programs;
        prepare.write("context", &self.context)?;
        match &self.sizing {
            None => prepare.write("timesteps", &self.timesteps)?,
            Some((pooled, sizes)) => {
                prepare.write("timesteps", &self.timesteps.repeat(copies))?;
                prepare.write("pooled", pooled)?;
                prepare.write("time_ids", &sizes.repeat(copies))?;
            }
        }
        let rest =
            [("guidance", &self.guidance), ("masked", &self.masked), ("picture", &self.picture)];
        for (name, values) in rest {
            let Some(values) = values else { continue };
            for program in [prepare, step] {
                if program.plan().input(name).is_some() {
                    program.write(name, values)?;
                }
            }
        }
        Ok(())
    }
}
