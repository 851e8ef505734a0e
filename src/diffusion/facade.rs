//! [`Diffusion`]: a model on a device, and all its methods.

use super::defaults::Defaults;
use super::generated::{Generated, Progress};
use super::layout::to_channels_first;
use super::model::Model;
use super::passes;
use super::request::Request;
use super::run::Run;
use super::session::Session;
use super::settings::COMMA_BACKTRACK;
use crate::components::{
    Autoencoder, ControlNet, Direction, IpAdapter, TextOptions, TextualInversion, Tiling,
};
use crate::error::{Error, ErrorKind, Result};
use crate::files::ModelFiles;
use crate::gpu::Gpu;
use crate::graph::Plan;
use crate::lora::Lora;
use crate::memory::Budget;
use crate::picture::Picture;
use crate::shape::Storage;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A model on a device: generates pictures.
///
/// Weights are uploaded and kernels compiled when they are first needed, and kept.
pub struct Diffusion {
    pub(super) session: Session,
}

impl Diffusion {
    /// Reads a model for a device and checks it. No weight is read yet.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn open(gpu: &Gpu, files: &ModelFiles) -> Result<Diffusion> {
        Ok(Diffusion::new(gpu, Model::open(files)?))
    }

    /// A model on a device.
    pub fn new(gpu: &Gpu, model: Model) -> Diffusion {
        let budget = Budget::of_device(gpu.memory());
        Diffusion { session: Session { gpu: gpu.clone(), model, upscaler: None, budget } }
    }

    /// The embedded model on the best device: the shortest way to a picture.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    #[cfg(all(feature = "embedded", not(target_arch = "wasm32")))]
    pub fn embedded() -> Result<Diffusion> {
        Diffusion::open(&Gpu::open_blocking(&Default::default())?, &ModelFiles::embedded())
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.session.gpu
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.session.model
    }

    /// See [`Model::name`].
    pub fn name(&self) -> &str {
        self.session.model.name()
    }

    /// See [`Model::defaults`].
    pub fn defaults(&self) -> &Defaults {
        self.session.model.defaults()
    }

    /// See [`Model::latent_shape`].
    ///
    /// # Errors
    /// As [`Model::latent_shape`].
    pub fn latent_shape(&self, request: &Request) -> Result<[usize; 3]> {
        self.session.model.latent_shape(request)
    }

    /// See [`Model::plans`]; the target is this device.
    ///
    /// # Errors
    /// As [`Model::plans`].
    #[doc(hidden)]
    pub fn plans(&self, request: &Request) -> Result<Vec<(&'static str, Arc<Plan>)>> {
        self.session.model.plans(request, self.session.gpu.target())
    }

    /// See [`Model::add_embedding`].
    ///
    /// # Errors
    /// As [`Model::add_embedding`].
    pub fn add_embedding(&mut self, embedding: &TextualInversion) -> Result<()> {
        self.session.model.add_embedding(embedding)
    }

    /// Begins a picture: encodes the prompt and prepares the sampler. Of a request with
    /// [`hires`](Request::hires) it is the first pass.
    ///
    /// # Errors
    /// `Argument` for an impossible request; `Memory`, `Weights` or `Device` if the model does not
    /// run on the device.
    pub async fn start(&mut self, request: &Request) -> Result<Run<'_>> {
        Run::start(&mut self.session, request).await
    }

    /// Generates a picture.
    ///
    /// Where the result of 16-bit storage is not finite, the picture is made again with f32; the
    /// model then stays at f32, and the result says so.
    ///
    /// # Errors
    /// As [`start`](Diffusion::start); `Numeric` if the result is not finite in f32 either.
    pub async fn generate(&mut self, request: &Request) -> Result<Generated> {
        self.generate_with(request, |_| ControlFlow::Continue(())).await
    }

    /// [`generate`](Diffusion::generate) that tells `progress` of every step; breaking stops the
    /// run. [`Request::preview`] makes it bring previews.
    ///
    /// # Errors
    /// As [`generate`](Diffusion::generate); `Cancelled` if `progress` breaks.
    pub async fn generate_with(
        &mut self,
        request: &Request,
        mut progress: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Generated> {
        passes::generate(&mut self.session, request, &mut progress).await
    }

    /// [`generate`](Diffusion::generate), blocking this thread.
    ///
    /// # Errors
    /// As [`generate`](Diffusion::generate).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn generate_blocking(&mut self, request: &Request) -> Result<Generated> {
        let gpu = self.session.gpu.clone();
        gpu.block_on(self.generate(request))
    }

    /// [`generate_with`](Diffusion::generate_with), blocking this thread.
    ///
    /// # Errors
    /// As [`generate_with`](Diffusion::generate_with).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn generate_with_blocking(
        &mut self,
        request: &Request,
        progress: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Generated> {
        let gpu = self.session.gpu.clone();
        gpu.block_on(self.generate_with(request, progress))
    }

    /// Changes the storage type of weights and activations; everything on the GPU is dropped.
    ///
    /// # Errors
    /// `Unsupported` if the device lacks the storage type.
    pub fn set_storage(&mut self, storage: Storage) -> Result<()> {
        self.session.set_storage(storage)
    }

    /// See [`Model::set_controlnets`]. The UNet is loaded anew.
    ///
    /// # Errors
    /// As [`Model::set_controlnets`].
    pub fn set_controlnets(&mut self, controlnets: Vec<ControlNet>) -> Result<()> {
        self.session.model.set_controlnets(controlnets)
    }

    /// See [`Model::set_ip_adapter`]. The UNet is loaded anew.
    ///
    /// # Errors
    /// As [`Model::set_ip_adapter`].
    pub fn set_ip_adapter(&mut self, adapter: Option<IpAdapter>) -> Result<()> {
        self.session.model.set_ip_adapter(adapter)
    }

    /// See [`Model::set_loras`]. Changed weights are uploaded again when they are next needed.
    ///
    /// # Errors
    /// As [`Model::set_loras`].
    pub fn set_loras(&mut self, loras: &[(Lora, f32)]) -> Result<()> {
        self.session.model.set_loras(loras)
    }

    /// See [`Model::set_autoencoder`].
    ///
    /// # Errors
    /// As [`Model::set_autoencoder`].
    pub fn set_autoencoder(&mut self, autoencoder: Autoencoder) -> Result<()> {
        self.session.model.set_autoencoder(autoencoder)
    }

    /// See [`Model::set_preview_decoder`].
    ///
    /// # Errors
    /// As [`Model::set_preview_decoder`].
    pub fn set_preview_decoder(&mut self, autoencoder: Option<Autoencoder>) -> Result<()> {
        self.session.model.set_preview_decoder(autoencoder)
    }

    /// See [`Model::set_tiling`].
    ///
    /// # Errors
    /// As [`Model::set_tiling`].
    pub fn set_tiling(&mut self, tiling: Tiling) -> Result<()> {
        self.session.model.set_tiling(tiling)
    }

    /// See [`Model::set_codec_budget`].
    pub fn set_codec_budget(&mut self, bytes: Option<u64>) {
        self.session.model.set_codec_budget(bytes);
    }

    /// Limits the memory that a picture may take on the device, in bytes: weights, activations and
    /// staging memory (see [`MemoryPlan`](super::MemoryPlan)). Where not all components fit, they
    /// are loaded, used and dropped in turn; where the autoencoder does not fit even then, it works
    /// in tiles; where a stage does not fit at all, a picture is refused before anything is
    /// allocated.
    ///
    /// `None` takes nine tenths of [`Gpu::memory`] as it was when the model was put on the device.
    /// Where the device does not tell, everything stays loaded until it refuses an allocation; from
    /// then on components take turns. `Some(u64::MAX)` is no limit.
    ///
    /// Previews are decoded beside the denoiser, within what it leaves. What is on the device is
    /// loaded anew.
    pub fn set_memory_budget(&mut self, bytes: Option<u64>) {
        self.session.budget.limit = bytes;
        self.session.model.unload_all_but(None);
    }

    /// The bound on the memory of a picture: the [budget](Diffusion::set_memory_budget) that was
    /// set, or nine tenths of the device's memory.
    pub fn memory_budget(&self) -> Option<u64> {
        self.session.budget.bytes()
    }

    /// Text embeddings of a prompt, `[tokens, width]` row-major.
    ///
    /// # Errors
    /// As [`start`](Diffusion::start).
    pub async fn encode_text(&mut self, prompt: &str) -> Result<Vec<f32>> {
        let Session { gpu, model, .. } = &mut self.session;
        let options = TextOptions { comma_backtrack: COMMA_BACKTRACK, ..TextOptions::default() };
        let texts = model.text.read(&[[prompt; 2]], options)?;
        Ok(model.text.encode(gpu, &texts).await?.values)
    }

    /// The latents `[C, h, w]` of a picture, scaled for the UNet: the mean of their distribution.
    ///
    /// # Errors
    /// `Argument` if the picture's sides are not multiples of a latent's; `Weights` if there is no
    /// encoder; `Memory` or `Device` from the GPU.
    pub async fn encode(&mut self, picture: &Picture) -> Result<Vec<f32>> {
        let codec = &self.session.model.codec;
        let (side, channels) = (codec.pixels_per_latent(), codec.channels());
        let (width, height) = (picture.width(), picture.height());
        if width % side != 0 || height % side != 0 {
            let message =
                format!("picture: expected multiples of {side} pixels, got {width}x{height}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let size = [height / side, width / side];
        let noise = vec![0.0; size[0] * size[1] * channels];
        self.session.make_way(Direction::Encode, size).await?;
        let Session { gpu, model, .. } = &mut self.session;
        let encoded = model.codec.encode(gpu, &picture.to_unit_range(), size, &noise).await?;
        Ok(to_channels_first(&encoded.value, channels))
    }

    /// The picture of latents `[C, h, w]`, such as [`Generated::latents`].
    ///
    /// # Errors
    /// `Argument` if the number of values does not fit; `Memory` or `Device` from the GPU.
    pub async fn decode(
        &mut self,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Picture> {
        let latents = self.session.channels_last(latents, [height, width])?;
        Ok(self.session.decode(&latents, [height, width]).await?.value)
    }

    /// The image of latents `[C, h, w]` before rounding to bytes: `[H, W, 3]` in about [-1, 1].
    ///
    /// # Errors
    /// As [`decode`](Diffusion::decode).
    pub async fn decode_raw(
        &mut self,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Vec<f32>> {
        let latents = self.session.channels_last(latents, [height, width])?;
        self.session.make_way(Direction::Decode, [height, width]).await?;
        let Session { gpu, model, .. } = &mut self.session;
        model.codec.decode_raw(gpu, &latents, height, width).await
    }

    /// The picture of latents `[C, h, w]` by the preview decoder, if there is one, else by the
    /// model's own.
    ///
    /// # Errors
    /// As [`decode`](Diffusion::decode).
    pub async fn preview(
        &mut self,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Picture> {
        self.session.preview(latents, [height, width]).await
    }

    /// The picture of latents `[C, h, w]` by a colour for each latent, without the GPU: one pixel a
    /// latent. `None` for models whose latents have no known colours: others than those of the
    /// Stable Diffusion 1, 2 and XL families.
    pub fn preview_fast(&self, latents: &[f32], height: usize, width: usize) -> Option<Picture> {
        self.session.preview_fast(latents, [height, width])
    }
}

#[cfg(test)]
mod tests;
