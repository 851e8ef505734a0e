//! A model's configurations and weights, ready for any device.

use super::defaults::Defaults;
use super::loras;
use crate::components::{
    Autoencoder, Codec, ControlNet, Denoiser, ImageEncoder, IpAdapter, TextEncoder,
    TextualInversion, Tiling,
};
use crate::error::{Error, ErrorKind, Result};
use crate::families::{Family, denoiser_folders, recognise};
use crate::files::ModelFiles;
use crate::lora::{Lora, Patches};
use crate::models::{ClassName, parse_config};
use crate::schedulers::SchedulerConfig;

/// The hint of errors about the configurations of a folder.
const EDITED: &str = "configuration files of supported models work unmodified; if this one was edited, \
                      restore it";

/// A model that was read and checked but is not on a device: enough to know its defaults and
/// to plan the cost of a request.
pub struct Model {
    pub(super) text: TextEncoder,
    /// The encoder of pictures that prompt, by an IP-Adapter.
    pub(super) image_encoder: Option<ImageEncoder>,
    pub(super) denoiser: Denoiser,
    pub(super) codec: Codec,
    /// The decoder of previews, if it is not `codec`.
    pub(super) preview: Option<Codec>,
    pub(super) scheduler: SchedulerConfig,
    pub(super) defaults: Defaults,
    name: String,
}

/// The parts that take turns in a device's memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelPart {
    Text,
    Image,
    Denoiser,
    Codec,
}

impl Model {
    /// Reads a model's configurations and weight headers, and checks them. No weight is read yet.
    ///
    /// # Errors
    /// `NotFound`, `Format`, `Config`, `Unsupported` or `Weights`, naming file and key.
    pub fn open(files: &ModelFiles) -> Result<Model> {
        // Errors about a file name its folder already.
        Model::read(files).map_err(|error: Error| {
            let error = match error.kind() {
                ErrorKind::Config if files.is_folder() => error.with_hint(EDITED),
                _ => error,
            };
            match error.to_string().contains(files.name()) {
                true => error,
                false => error.context(format!("model {}", files.name())),
            }
        })
    }

    fn read(files: &ModelFiles) -> Result<Model> {
        let scheduler =
            SchedulerConfig::from_json(&files.text("scheduler/scheduler_config.json")?)?;
        let family = family_of(files)?;
        let denoiser = Denoiser::open(family, files)?;
        let codec = Codec::open(&family.latents, files)?;
        let facts = denoiser.facts();
        if codec.channels() != facts.channels {
            let message = format!(
                "vae/config.json: latent_channels: expected the UNet's {}, got {}",
                facts.channels,
                codec.channels()
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        let side = facts.sample_size * codec.pixels_per_latent();
        let defaults = Defaults::new(family, &scheduler, facts.reads_guidance, side);
        let text = TextEncoder::open(&family.text, files)?;
        check_text_widths(&denoiser, &text)?;
        let name = files.name().to_string();
        let (image_encoder, preview) = (None, None);
        Ok(Model { text, image_encoder, denoiser, codec, preview, scheduler, defaults, name })
    }

    /// The model's name: its folder, or the name it was opened with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file of the denoiser's weights, which is that of the whole model where it is a single one; `None` if they are
    /// in shards or in memory.
    pub fn denoiser_file(&self) -> Option<&std::path::Path> {
        self.denoiser.file()
    }

    /// The defaults of requests.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// Sets the model's ControlNets, in place of earlier ones; an empty list removes them. Their
    /// results are summed, as by diffusers' `MultiControlNetModel`.
    ///
    /// # Errors
    /// `Weights` if one is not for this model; `Argument` if they are more than eight.
    pub fn set_controlnets(&mut self, controlnets: Vec<ControlNet>) -> Result<()> {
        self.denoiser.set_controls(controlnets)
    }

    /// Sets the model's IP-Adapter, in place of an earlier one; `None` removes it.
    ///
    /// # Errors
    /// `Weights` if it is not for this model.
    pub fn set_ip_adapter(&mut self, adapter: Option<IpAdapter>) -> Result<()> {
        let parts = adapter.map(|IpAdapter { prompted, encoder }| (prompted, encoder));
        let (prompted, encoder) = parts.unzip();
        self.denoiser.set_image_prompt(prompted)?;
        self.image_encoder = encoder;
        Ok(())
    }

    /// Adds a textual inversion: a new word for prompts.
    ///
    /// # Errors
    /// `Weights` if the vectors are not those of the model's text encoders, or are more than fit
    /// their context.
    pub fn add_embedding(&mut self, embedding: &TextualInversion) -> Result<()> {
        self.text.add_embedding(embedding)
    }

    /// Sets the model's LoRAs, each with its weight, in place of all earlier ones; an empty
    /// list leaves the model as it is in its files, and so does an error.
    ///
    /// # Errors
    /// `Weights` if a LoRA is for another family, damaged or not finite.
    pub fn set_loras(&mut self, list: &[(Lora, f32)]) -> Result<()> {
        let changed = loras::patches(&self.denoiser, &self.text, list).and_then(|(unet, texts)| {
            self.denoiser.set_patches(unet)?;
            self.text.set_patches(texts)
        });
        if changed.is_err() {
            self.denoiser.set_patches(Patches::new())?;
            self.text.set_patches(Vec::new())?;
        }
        changed
    }

    /// Decodes and encodes by another autoencoder than the model's own, such as TAESD.
    ///
    /// # Errors
    /// `Argument` if its latents are not of the model's kind.
    pub fn set_autoencoder(&mut self, autoencoder: Autoencoder) -> Result<()> {
        self.codec = self.codec.companion(autoencoder)?;
        Ok(())
    }

    /// Decodes previews by another autoencoder than the model's own, such as TAESD; `None` takes
    /// the model's own.
    ///
    /// # Errors
    /// `Argument` if its latents are not of the model's kind.
    pub fn set_preview_decoder(&mut self, autoencoder: Option<Autoencoder>) -> Result<()> {
        let codec = autoencoder.map(|autoencoder| self.codec.preview(autoencoder));
        self.preview = codec.transpose()?;
        Ok(())
    }

    /// Chooses whether pictures are decoded and encoded in tiles, and of what size.
    ///
    /// # Errors
    /// `Argument` if tiles are shorter than two latents.
    pub fn set_tiling(&mut self, tiling: Tiling) -> Result<()> {
        let least = 2 * self.codec.pixels_per_latent();
        if let Tiling::Always(pixels) = tiling
            && pixels < least
        {
            let message = format!("tiles: expected sides of at least {least} pixels, got {pixels}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        self.codec.tiling = tiling;
        Ok(())
    }

    /// Bounds the buffers, beside the weights, that decoding or encoding takes at once; beyond, it
    /// goes in tiles. `None` is no bound but the device's. The [memory
    /// budget](super::Diffusion::set_memory_budget) holds as well: it counts the weights too.
    pub fn set_codec_budget(&mut self, bytes: Option<u64>) {
        self.codec.budget_bytes = bytes.unwrap_or(u64::MAX);
        self.codec.forget_programs();
    }

    /// Bytes of GPU memory that the components hold.
    pub(super) fn bytes(&self) -> u64 {
        let preview = self.preview.as_ref().map_or(0, Codec::bytes);
        let image = self.image_encoder.as_ref().map_or(0, ImageEncoder::bytes);
        self.text.bytes() + image + self.denoiser.bytes() + self.codec.bytes() + preview
    }

    /// Drops everything from the GPU but the part that is used next.
    pub(super) fn unload_all_but(&mut self, next: Option<ModelPart>) {
        if next != Some(ModelPart::Text) {
            self.text.unload();
        }
        if next != Some(ModelPart::Image) {
            self.image_encoder.iter_mut().for_each(ImageEncoder::unload);
        }
        if next != Some(ModelPart::Denoiser) {
            self.denoiser.unload();
        }
        if next != Some(ModelPart::Codec) {
            self.codec.unload();
        }
        self.preview.iter_mut().for_each(Codec::unload);
    }
}

/// The family of a model, recognised by its denoiser.
fn family_of(files: &ModelFiles) -> Result<&'static Family> {
    let mut folder = "unet";
    for other in denoiser_folders() {
        if files.read(&format!("{other}/config.json"))?.is_some() {
            folder = other;
        }
    }
    let file = format!("{folder}/config.json");
    let class: ClassName = parse_config(&file, &files.text(&file)?)?;
    recognise(&file, &class.class_name, &files.weights(folder)?)
}

/// Checks that a denoiser reads embeddings of the widths that the text encoders make.
fn check_text_widths(denoiser: &Denoiser, text: &TextEncoder) -> Result<()> {
    if denoiser.pooled_width() != text.pooled_width() {
        let words = |width: Option<usize>| width.map_or("none".into(), |w| w.to_string());
        let message = format!(
            "the UNet reads pooled text embeddings of width {}, the text encoders make {}; they do \
             not belong together",
            words(denoiser.pooled_width()),
            words(text.pooled_width())
        );
        return Err(Error::new(ErrorKind::Weights, message));
    }
    if let Some(wanted) = denoiser.text_width().filter(|wanted| *wanted != text.width()) {
        let message = format!(
            "the UNet reads text embeddings of width {wanted}, the text encoder makes {}; they do \
             not belong together",
            text.width()
        );
        return Err(Error::new(ErrorKind::Weights, message));
    }
    Ok(())
}
