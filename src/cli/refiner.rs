//! Options for a second model that goes on where the first one stops.

use super::options::{GpuOptions, ModelOptions, short_name};
use croquis::diffusion::{Diffusion, Generated, Model, Progress, Request};
use croquis::{Gpu, Result};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Options for a refiner.
#[derive(clap::Args)]
#[command(next_help_heading = "Refiner")]
pub struct RefinerOptions {
    /// A second model for the last noise levels, such as Stable Diffusion XL's refiner
    #[arg(long, value_name = "DIR|FILE|NAME")]
    refiner: Option<PathBuf>,
    /// The share of the noise levels after which it takes over, between 0 and 1
    #[arg(long, value_name = "SHARE", requires = "refiner", default_value_t = 0.8)]
    refiner_start: f32,
}

/// A refiner on a device.
pub struct Refiner {
    diffusion: Diffusion,
    start: f32,
}

impl RefinerOptions {
    /// Opens the refiner, if there is one. Nothing is on a device yet.
    pub fn open(&self, options: &ModelOptions, gpu: &GpuOptions) -> Result<Option<Model>> {
        let open = |path| options.open_other(path, gpu.storage);
        let model = self.refiner.as_deref().map(open).transpose();
        model.map_err(|error| error.context("--refiner"))
    }

    /// Puts the refiner on a device.
    pub fn load(&self, model: Model, gpu: &Gpu, options: &GpuOptions) -> Refiner {
        let mut diffusion = Diffusion::new(gpu, model);
        if let Some(bytes) = options.memory {
            diffusion.set_memory_budget(Some(bytes));
        }
        Refiner { diffusion, start: self.refiner_start }
    }
}

impl Refiner {
    /// Generates a picture by a first model and this one.
    pub fn generate(
        &mut self,
        first: &mut Diffusion,
        request: &Request,
        progress: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Generated> {
        let gpu = first.gpu().clone();
        gpu.block_on(first.generate_refined(&mut self.diffusion, request, self.start, progress))
    }

    /// Its name and where it takes over, as AUTOMATIC1111 notes them.
    pub fn noted(&self) -> (String, f32) {
        (short_name(self.diffusion.model()), self.start)
    }
}
