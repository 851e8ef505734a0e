//! Initial noise (latents) from a safetensors file.

use croquis::diffusion::{Model, Request};
use croquis::internal::weights::Weights;
use croquis::{Error, ErrorKind, Result};
use std::path::Path;

/// Latents read from a file: channels, height, width and values.
pub struct Latents {
    shown: String,
    shape: [usize; 3],
    values: Vec<f32>,
}

impl Latents {
    /// Reads the tensor `latents`, or the only one of the file: `[1, C, h, w]` or `[C, h, w]`.
    pub fn open(file: &Path) -> Result<Latents> {
        let weights = Weights::open(file).map_err(|error| error.context("--latents"))?;
        let names: Vec<_> = weights.names().collect();
        let name = match names.as_slice() {
            [only] => only,
            _ if names.contains(&"latents") => "latents",
            _ => {
                let message = format!(
                    "--latents {}: expected a tensor named latents or a single one, got {names:?}",
                    file.display()
                );
                return Err(Error::new(ErrorKind::Argument, message));
            }
        };
        let shown = format!("--latents {}: {name}", file.display());
        let shape = match weights.shape(name) {
            Some(&[1, c, h, w] | &[c, h, w]) => [c, h, w],
            other => {
                let got = other.unwrap_or_default();
                let message = format!("{shown}: expected [1, C, h, w] or [C, h, w], got {got:?}");
                return Err(Error::new(ErrorKind::Argument, message));
            }
        };
        let values = weights.read_f32(name).map_err(|error| error.context("--latents"))?;
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let value = values[at];
            let message = format!("{shown}: expected finite numbers, got {value} at index {at}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(Latents { shown, shape, values })
    }

    /// Sets the latents in a request; where the request has no width or height, theirs is taken.
    pub fn apply(self, model: &Model, request: &mut Request) -> Result<()> {
        let [_, height, width] = self.shape;
        if request.image.is_none() {
            let defaults = model.defaults();
            let mut standard = Request::new("").size(defaults.width, defaults.height);
            standard.scheduler = request.scheduler;
            let [_, standard_height, _] = model.latent_shape(&standard)?;
            let side = defaults.height / standard_height.max(1);
            request.height.get_or_insert(height.saturating_mul(side));
            request.width.get_or_insert(width.saturating_mul(side));
        }
        let expected = model.latent_shape(request)?;
        if self.shape != expected {
            let message = format!("{}: expected {expected:?}, got {:?}", self.shown, self.shape);
            return Err(Error::new(ErrorKind::Argument, message));
        }
        request.latents = Some(self.values);
        Ok(())
    }
}
