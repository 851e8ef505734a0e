//! A model's configurations and weights, ready for any device.

use super::codec::Codec;
use super::control::ControlNet;
use super::denoiser::{Denoiser, Sizes};
use super::files::ModelFiles;
use super::request::{Defaults, Request};
use super::settings::Settings;
use super::text::{TextEncoder, TextualInversion};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Plan;
use crate::kernels::Target;
use crate::schedulers::SchedulerConfig;

/// A model that was read and checked, and is not on a device yet: enough to know its defaults and
/// to plan what a request would cost.
pub struct Model {
    pub(super) text: TextEncoder,
    pub(super) denoiser: Denoiser,
    pub(super) codec: Codec,
    /// What previews are decoded by, if not by `codec`.
    pub(super) preview: Option<Codec>,
    pub(super) scheduler: SchedulerConfig,
    pub(super) defaults: Defaults,
    name: String,
}

/// The parts that take turns in a device's memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Text,
    Denoiser,
    Codec,
}

impl Model {
    /// Reads a model's configurations and weight headers, and checks them. No weight is read yet.
    ///
    /// # Errors
    /// `NotFound`, `Format`, `Config`, `Unsupported` or `Weights`, naming file and key.
    pub fn open(files: &ModelFiles) -> Result<Model> {
        let opened = || {
            let scheduler =
                SchedulerConfig::from_json(&files.text("scheduler/scheduler_config.json")?)?;
            let denoiser = Denoiser::open(files)?;
            let codec = Codec::open(files)?;
            if codec.channels() != denoiser.channels {
                let message = format!(
                    "vae/config.json: latent_channels: expected the UNet's {}, got {}",
                    denoiser.channels,
                    codec.channels()
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
            let kind = scheduler.kind();
            let (steps, guidance_scale) = Defaults::sampling(&scheduler, &denoiser);
            let side = denoiser.sample_size * codec.pixels_per_latent();
            let defaults =
                Defaults { width: side, height: side, scheduler: kind.ok(), steps, guidance_scale };
            let text = TextEncoder::open(files)?;
            if denoiser.pooled_width() != text.pooled_width() {
                let words = |width: Option<usize>| width.map_or("none".into(), |w| w.to_string());
                let message = format!(
                    "the UNet reads pooled text embeddings of width {}, the text encoders make {}; \
                     they do not belong together",
                    words(denoiser.pooled_width()),
                    words(text.pooled_width())
                );
                return Err(Error::new(ErrorKind::Weights, message));
            }
            if let Some(wanted) = denoiser.text_width().filter(|wanted| *wanted != text.width()) {
                let message = format!(
                    "the UNet reads text embeddings of width {wanted}, the text encoder makes {}; \
                     they do not belong together",
                    text.width()
                );
                return Err(Error::new(ErrorKind::Weights, message));
            }
            let name = files.name().to_string();
            Ok(Model { text, denoiser, codec, preview: None, scheduler, defaults, name })
        };
        // Errors about a file name its folder already.
        opened().map_err(|error: Error| match error.to_string().contains(files.name()) {
            true => error,
            false => error.context(format!("model {}", files.name())),
        })
    }

    /// The model's name: its folder, or what it was called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the model does unless it is asked otherwise.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// The shape `[C, h, w]` of a request's latents.
    ///
    /// # Errors
    /// `Argument` for an impossible request.
    pub fn latent_shape(&self, request: &Request) -> Result<[usize; 3]> {
        let sizes = self.sizes(request, &self.settings(request)?)?;
        Ok([self.denoiser.channels, sizes.height, sizes.width])
    }

    /// The plans of a request by name, computed without a GPU: `text_encoder` (and
    /// `text_encoder_2`), `encoder` for a picture to start from, `prepare` (what a prompt needs
    /// once), `step`, `decoder`; the latter and `encoder` of a tile, where there are tiles.
    ///
    /// # Errors
    /// `Argument` for an impossible request; `Weights`, `Shape` or `Memory` if the model's weights
    /// or the target's limits do not allow it.
    pub fn plans(&self, request: &Request, target: &Target) -> Result<Vec<(&'static str, Plan)>> {
        let settings = self.settings(request)?;
        let sizes = self.sizes(request, &settings)?;
        self.plans_of(request, &settings, sizes, target)
    }

    /// [`plans`](Model::plans) of a request that was read already.
    pub(super) fn plans_of(
        &self,
        request: &Request,
        settings: &Settings,
        sizes: Sizes,
        target: &Target,
    ) -> Result<Vec<(&'static str, Plan)>> {
        let mut graphs = self.text.graphs(&settings.texts(request), settings.text)?;
        let denoiser = self.denoiser.graphs(sizes)?;
        graphs.extend([("prepare", denoiser.prepare), ("step", denoiser.step)]);
        let mut plans = graphs
            .iter()
            .map(|(name, graph)| Ok((*name, Plan::new(graph, target)?)))
            .collect::<Result<Vec<_>>>()?;
        let size = [sizes.height, sizes.width];
        if request.image.is_some() {
            plans.push(("encoder", self.codec.encoder_plan(target, size)?));
        }
        plans.push(("decoder", self.codec.decoder_plan(target, size)?));
        Ok(plans)
    }

    /// Puts a ControlNet beside the UNet, in place of an earlier one, or takes it away.
    ///
    /// # Errors
    /// `Weights` if the ControlNet is not for this model.
    pub fn set_controlnet(&mut self, controlnet: Option<ControlNet>) -> Result<()> {
        self.denoiser.set_control(controlnet)
    }

    /// Adds a word to the vocabulary of the prompts.
    ///
    /// # Errors
    /// As [`TextEncoder::add_embedding`].
    pub fn add_embedding(&mut self, embedding: &TextualInversion) -> Result<()> {
        self.text.add_embedding(embedding)
    }

    /// Bytes of GPU memory that the components hold.
    pub(super) fn bytes(&self) -> u64 {
        let preview = self.preview.as_ref().map_or(0, Codec::bytes);
        self.text.bytes() + self.denoiser.bytes() + self.codec.bytes() + preview
    }

    /// Forgets the programs that were made for other sizes than a request's; weights stay.
    ///
    /// # Errors
    /// As [`plans`](Model::plans).
    pub(super) fn retain(&mut self, request: &Request, target: &Target) -> Result<()> {
        let settings = self.settings(request)?;
        let sizes = self.sizes(request, &settings)?;
        self.text.retain(&settings.texts(request), settings.text);
        self.denoiser.retain(sizes);
        self.codec.retain(target, [sizes.height, sizes.width]);
        Ok(())
    }

    /// Forgets what is on the GPU.
    pub(super) fn unload(&mut self) {
        self.unload_all_but(None);
    }

    /// Forgets what is on the GPU but for the component that is used next.
    pub(super) fn unload_all_but(&mut self, next: Option<Part>) {
        if next != Some(Part::Text) {
            self.text.unload();
        }
        if next != Some(Part::Denoiser) {
            self.denoiser.unload();
        }
        if next != Some(Part::Codec) {
            self.codec.unload();
        }
        self.preview.iter_mut().for_each(Codec::unload);
    }
}
