//! [`Upscaler`]: a network that enlarges pictures, with its weights on a device and its bounds.

use crate::components::component::Component;
use crate::components::tiles::{Tiles, Tiling};
use crate::error::{Error, ErrorKind, Result};
use crate::files::refuse_pickle;
use crate::gpu::Gpu;
use crate::memory::Budget;
use crate::models::upscaler::UpscalerNetwork;
use crate::weights::{Source, Weights};

/// A network that enlarges pictures by a whole factor: ESRGAN, BSRGAN and Real-ESRGAN with any number
/// of blocks, and Real-ESRGAN's compact network, from their unmodified `.safetensors` files.
///
/// Weights are uploaded and kernels compiled for the first picture, and kept.
///
/// ```no_run
/// use croquis::{Gpu, Picture, Upscaler};
///
/// # fn main() -> croquis::Result<()> {
/// let gpu = Gpu::open_blocking(&Default::default())?;
/// let mut upscaler = Upscaler::open(&gpu, "RealESRGAN_x4plus.safetensors")?;
/// let large = upscaler.upscale_blocking(&Picture::open("small.png")?)?;
/// large.save("large.png", &[])?;
/// # Ok(())
/// # }
/// ```
pub struct Upscaler {
    pub(super) gpu: Gpu,
    pub(super) name: String,
    pub(super) network: UpscalerNetwork,
    pub(super) component: Component<[usize; 2]>,
    pub(super) tiling: Tiling,
    pub(super) budget: Budget,
    /// The upper bound on a chosen tile's side, in cells.
    pub(super) longest: usize,
    /// The last choice of tiles, for pictures of this size in cells within this budget.
    pub(super) chosen: Option<([usize; 2], u64, Tiles)>,
}

impl Upscaler {
    /// Reads the names and shapes of a file's weights, for a device.
    ///
    /// # Errors
    /// `NotFound` or `Io`, or as [`from_bytes`](Upscaler::from_bytes).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(gpu: &Gpu, path: impl AsRef<std::path::Path>) -> Result<Upscaler> {
        let path = path.as_ref();
        Self::from_bytes(gpu, path.display().to_string(), Source::open(path)?)
    }

    /// An upscaler of one file in memory; `name` stands for the file in messages.
    ///
    /// # Errors
    /// `Unsupported` for a Python pickle (`.pth`) and for another network, naming what the file looks
    /// like; `Format` or `Weights` if it is damaged or incomplete.
    pub fn from_bytes(
        gpu: &Gpu,
        name: impl Into<String>,
        source: impl Into<Source>,
    ) -> Result<Upscaler> {
        let (name, source) = (name.into(), source.into());
        refuse_pickle(&name, &source)?;
        let weights = Weights::from_bytes(name.clone(), source)?;
        let read = UpscalerNetwork::of(weights);
        let (network, weights) = read.map_err(|error| error.context(&name))?;
        let upscaler = Upscaler {
            gpu: gpu.clone(),
            network,
            component: Component::new(weights),
            tiling: Tiling::Auto,
            budget: Budget::of_device(gpu.memory()),
            longest: usize::MAX,
            chosen: None,
            name,
        };
        // Every weight is checked before one is read.
        let cell = [1, 1];
        upscaler.graph(cell).map_err(|error| error.context(&upscaler.name))?;
        Ok(upscaler)
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the architecture: `ESRGAN` or `Real-ESRGAN compact`.
    pub fn architecture(&self) -> &'static str {
        self.network.name()
    }

    /// The factor by which width and height grow.
    pub fn scale(&self) -> usize {
        self.network.scale()
    }

    /// Chooses whether pictures are divided into tiles, and of what size in pixels of the input.
    /// [`Tiling::Auto`], the default, takes as few tiles of at most 512 pixels a side as fit.
    ///
    /// Tiles share a part with their neighbours. The compact network's results are those of the whole
    /// picture, since what lies beyond its reach at a tile's border is cut off. ESRGAN's reach is
    /// hundreds of pixels: 16 are cut off, and what depends on pixels farther away may differ a little.
    ///
    /// # Errors
    /// `Argument` if tiles are shorter than 16 pixels.
    pub fn set_tiling(&mut self, tiling: Tiling) -> Result<()> {
        if let Tiling::Always(pixels @ ..16) = tiling {
            let message = format!("tiles: expected sides of at least 16 pixels, got {pixels}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        (self.tiling, self.chosen) = (tiling, None);
        Ok(())
    }

    /// Limits the device memory that the upscaler takes, in bytes: weights, activations and staging
    /// memory. Tiles are made so small that they fit. `None` takes nine tenths of the device's memory,
    /// `Some(u64::MAX)` is no limit.
    pub fn set_memory_budget(&mut self, bytes: Option<u64>) {
        self.budget.limit = bytes;
        self.unload();
    }

    /// Moves the upscaler to another device; everything on the old one is dropped.
    pub(crate) fn move_to(&mut self, gpu: &Gpu) {
        self.unload();
        (self.gpu, self.chosen) = (gpu.clone(), None);
        self.budget = Budget { limit: self.budget.limit, ..Budget::of_device(gpu.memory()) };
    }

    /// [`set_memory_budget`](Upscaler::set_memory_budget), if it is another one.
    pub(crate) fn bound(&mut self, bytes: Option<u64>) {
        if self.budget.limit != bytes {
            self.set_memory_budget(bytes);
        }
    }

    /// Drops weights and programs from the device; the next picture loads them anew.
    pub fn unload(&mut self) {
        self.component.unload();
    }
}
