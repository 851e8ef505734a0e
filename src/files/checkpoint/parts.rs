//! [`Checkpoint`]: the components of a single file, under diffusers' names.

use super::ldm::{Destination, LdmNames};
use super::sampling::Sampling;
use super::{config, tokenizer, unet_config};
use crate::error::{Error, ErrorKind, Result};
use crate::families::{self, Family, Published, Task, of_unet};
use crate::weights::{View, Weights};
use std::collections::BTreeMap;

/// The new names and views of a file's tensors, by their names in the file.
type NewNames = BTreeMap<String, Vec<(String, View)>>;

/// The parts of a checkpoint in one file.
#[derive(Clone)]
pub struct Checkpoint {
    /// Family and task of the UNet, if the file has one.
    pub kind: Option<(&'static Family, Task)>,
    /// The training settings that the sampler needs, if the file has a UNet.
    pub sampling: Option<Sampling>,
    /// The tensors of each component (`unet`, `vae`, `text_encoder`, `text_encoder_2`,
    /// `controlnet`) under diffusers' names.
    pub weights: BTreeMap<String, Weights>,
    /// The small files of a diffusers folder, by their path.
    pub texts: BTreeMap<String, Vec<u8>>,
    /// Tensors that belong to no component.
    pub unknown: Vec<String>,
}

impl Checkpoint {
    /// Assigns the tensors of a file to components; `name` stands for it in messages. No weight is read.
    ///
    /// # Errors
    /// `Unsupported` for other families of models, by name; `Weights` if tensors are missing or
    /// are there twice; `Format` if nothing in the file belongs to a model.
    pub fn new(name: &str, weights: Weights) -> Result<Checkpoint> {
        Self::sort(weights).map_err(|error| match error.to_string().contains(name) {
            true => error,
            false => error.context(name),
        })
    }

    fn sort(file: Weights) -> Result<Checkpoint> {
        families::refuse_foreign(&file)?;
        let names = LdmNames::of(&file);
        let mut moved: BTreeMap<&'static str, NewNames> = BTreeMap::new();
        let mut unknown = Vec::new();
        for name in file.names() {
            match names.destination(name, file.shape(name).unwrap_or_default()) {
                Destination::Component(component, new) => {
                    moved.entry(component).or_default().insert(name.into(), new);
                }
                Destination::Unknown => unknown.push(name.into()),
                Destination::Ignored => {}
            }
        }
        if moved.is_empty() {
            let message = format!(
                "expected a checkpoint of Stable Diffusion, found no tensor of a UNet, an \
                 autoencoder, a text encoder or a ControlNet among {}{}",
                file.names().count(),
                file.names().next().map(|name| format!(", such as {name}")).unwrap_or_default()
            );
            return Err(Error::new(ErrorKind::Format, message));
        }
        let mut weights = BTreeMap::new();
        for (component, mut new) in moved {
            let part = file.clone().map_names(|name, _| new.remove(name).unwrap_or_default())?;
            weights.insert(component.to_string(), part);
        }
        let kind = weights.get("unet").map(of_unet).transpose()?;
        let sampling = match kind {
            Some((family, _)) => Some(Sampling::of(family, &file)?),
            None => None,
        };
        let texts = texts(&weights, kind, sampling)?;
        Ok(Checkpoint { kind, sampling, weights, texts, unknown })
    }

    /// The names of components that the family has and the file lacks.
    pub fn missing(&self) -> Vec<&'static str> {
        let mut wanted = vec!["unet", "vae"];
        match self.kind {
            Some((family, _)) => wanted.extend(family.text.encoders.iter().map(|e| e.folder)),
            None => wanted.push("text_encoder"),
        }
        wanted.retain(|component| !self.weights.contains_key(*component));
        wanted
    }
}

/// The configuration and tokenizer files of the diffusers folder, by path.
fn texts(
    weights: &BTreeMap<String, Weights>,
    kind: Option<(&'static Family, Task)>,
    sampling: Option<Sampling>,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut texts = BTreeMap::new();
    let mut put = |path: String, value: serde_json::Value| {
        texts.insert(path, value.to_string().into_bytes());
    };
    let family = kind.map(|(family, _)| family);
    let pooled = weights.get("text_encoder_2").and_then(config::pooled_width);
    // The width of OpenCLIP-bigG, where the file has no text encoder.
    let pooled = pooled.unwrap_or(1280);
    if let (Some((family, task)), Some(sampling)) = (kind, sampling) {
        let components = weights.keys().map(String::as_str);
        // The pipeline classes named in model_index.json have no ControlNet.
        let components: Vec<&str> = components.filter(|name| *name != "controlnet").collect();
        put("model_index.json".into(), config::model_index(family, task, &components));
        let published = published(family)?;
        put("scheduler/scheduler_config.json".into(), config::scheduler(published, sampling));
        if let Some(unet) = weights.get("unet") {
            let unet = unet_config::unet(unet, published, sampling.prediction, pooled)?;
            put("unet/config.json".into(), unet);
        }
    }
    if let Some(part) = weights.get("controlnet") {
        let (family, _) = of_unet(part).map_err(|error| error.context("controlnet"))?;
        let config = unet_config::controlnet(part, published(family)?, pooled)?;
        put("controlnet/config.json".into(), config);
    }
    if let Some(vae) = weights.get("vae") {
        put("vae/config.json".into(), config::vae(vae, family)?);
    }
    for component in ["text_encoder", "text_encoder_2"] {
        if let Some(part) = weights.get(component) {
            let config = config::text_encoder(component, part, family)?;
            put(format!("{component}/config.json"), config);
        }
    }
    if weights.contains_key("text_encoder") || weights.contains_key("text_encoder_2") {
        let files = tokenizer::files(family).into_iter();
        texts.extend(files.map(|(name, text)| (format!("tokenizer/{name}"), text)));
    }
    Ok(texts)
}

/// The published values of a family.
///
/// # Errors
/// `Unsupported` if the family has no single files.
fn published(family: &Family) -> Result<&Published> {
    family.published.as_ref().ok_or_else(|| {
        let message =
            format!("expected a diffusers folder: no single files of {} are known", family.name);
        Error::new(ErrorKind::Unsupported, message)
    })
}
