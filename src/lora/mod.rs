//! LoRA files (Hu et al. 2021): low-rank changes of a model's weights, read as patches for
//! [`Weights::set_patches`].
//!
//! The keys of a file depend on the program that wrote it. [`Lora`] reads the layouts of kohya's
//! sd-scripts, of LyCORIS, of peft, and of diffusers before it used peft, for linear layers and
//! convolutions of any kernel size. Besides the product of two matrices it reads Tucker
//! decompositions, LoHa, LoKr and (IA)³ (Yeh et al., LyCORIS, 2023), DoRA (Liu et al. 2024) and full
//! differences of weights and biases; other methods are refused.
//!
//! ```no_run
//! use croquis::internal::lora::Lora;
//! use croquis::internal::weights::Weights;
//!
//! # fn main() -> croquis::error::Result<()> {
//! let mut unet = Weights::open("unet/diffusion_pytorch_model.safetensors")?;
//! let names: Vec<_> = unet.names().collect();
//! let patches = Lora::open("style.safetensors")?.patches("unet", &names, &[], 0.8)?;
//! unet.set_patches(patches)?;
//! # Ok(())
//! # }
//! ```

mod change;
mod key;
mod layer;
mod names;
mod role;
mod scale;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, ErrorKind, Result};
use crate::weights::{Patch, Source, Weights};
use key::{Key, Module};
use layer::{Change, Layer};
use names::LayerAliases;
use role::Role;
use scale::Scales;

/// Patches of weights, by weight name; see [`Weights::set_patches`].
pub type Patches = BTreeMap<String, Vec<Patch>>;

/// A LoRA file. Its values are not read before [`Lora::patches`].
#[derive(Clone)]
pub struct Lora {
    name: String,
    weights: Weights,
    layers: Vec<Layer>,
    scales: Scales,
    text_encoder_weight: Option<f32>,
}

impl Lora {
    /// Opens a LoRA in memory; `name` stands for the file in messages.
    ///
    /// # Errors
    /// `Format` if the file is damaged or has no tensors; `Weights` naming the key if a tensor belongs
    /// to no LoRA, or if one matrix of a pair is missing or of another rank; `Unsupported` naming the
    /// method if it is OFT, GLoRA or another relative.
    pub fn from_bytes(name: impl Into<String>, source: impl Into<Source>) -> Result<Self> {
        let name = name.into();
        let weights = Weights::from_bytes(name.clone(), source)?;
        Self::new(name, weights)
    }

    /// Opens a LoRA file, as by [`Weights::open`]. Beside peft's
    /// `adapter_model.safetensors`, the `adapter_config.json` gives the scale.
    ///
    /// # Errors
    /// `NotFound` or `Io` with the path; else as [`Lora::from_bytes`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<Self> {
        let path = path.as_ref();
        let lora = Self::new(path.display().to_string(), Weights::open(path)?)?;
        let config = path.with_file_name("adapter_config.json");
        if path.file_name().is_none_or(|name| name != "adapter_model.safetensors")
            || !config.exists()
        {
            return Ok(lora);
        }
        let place = config.display().to_string();
        let bytes = std::fs::read(config).map_err(|error| {
            Error::new(ErrorKind::Io, format!("{place}: cannot read the file")).with_source(error)
        })?;
        lora.with_adapter_config(&place, &bytes)
    }

    /// The same LoRA with the scale of peft's `adapter_config.json`: α/r, or α/√r if it is
    /// rank-stabilised (rsLoRA). `name` stands for that file in messages. Files of other layouts
    /// contain their scale.
    ///
    /// # Errors
    /// `Format` if `config` is not a configuration of peft.
    pub fn with_adapter_config(mut self, name: &str, config: &[u8]) -> Result<Self> {
        self.scales = Scales::adapter_config(name, config)?;
        Ok(self)
    }

    /// The same LoRA with a weight of its own for the text encoders, in place of the one that is given
    /// with it: AUTOMATIC1111's `<lora:name:text_encoder:denoiser>`.
    pub fn with_text_encoder_weight(mut self, weight: f32) -> Self {
        self.text_encoder_weight = Some(weight);
        self
    }

    /// The weight of the changes of a component, where `weight` is given with the LoRA.
    #[doc(hidden)]
    pub fn weight_of(&self, component: &str, weight: f32) -> f32 {
        let own = self.text_encoder_weight.filter(|_| component.starts_with("text_encoder"));
        own.unwrap_or(weight)
    }

    fn new(name: String, weights: Weights) -> Result<Self> {
        let mut found: BTreeMap<(&'static str, Module), BTreeMap<Role, String>> = BTreeMap::new();
        for key in weights.names() {
            let Key { component, module, role } =
                key::parse(key).map_err(|error| error.context(&name))?;
            if let Some(twin) =
                found.entry((component, module)).or_default().insert(role, key.into())
            {
                let message =
                    format!("{name}: expected one tensor for each matrix, got {twin} and {key}");
                return Err(Error::new(ErrorKind::Weights, message));
            }
        }
        if found.is_empty() {
            let message = format!("{name}: expected a LoRA, got a file without tensors");
            return Err(Error::new(ErrorKind::Format, message));
        }
        let layers = found.into_iter().map(|((component, module), parts)| {
            Layer::new(component, module, parts, &weights).map_err(|error| error.context(&name))
        });
        let layers = layers.collect::<Result<Vec<Layer>>>()?;
        let scales = Scales::from_metadata(&name, weights.metadata())?;
        Ok(Lora { name, weights, layers, scales, text_encoder_weight: None })
    }

    /// The file's name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The components that the file changes: `unet`, `text_encoder`, `text_encoder_2`.
    #[doc(hidden)]
    pub fn components(&self) -> BTreeSet<&'static str> {
        self.layers.iter().map(|layer| layer.component).collect()
    }

    /// The patches for the weights of a component, times `weight` or the weight of its own
    /// ([`Lora::with_text_encoder_weight`]); none if the file does not change that component.
    ///
    /// `names` are the component's weight names in diffusers; those of a text encoder may lack the
    /// prefix `text_model.`. `ldm` has pairs of block prefixes, in the original Stable Diffusion
    /// layout and in diffusers', such as `("input_blocks.1.1", "down_blocks.0.attentions.0")`:
    /// kohya's files for SDXL use the original names for the UNet's layers. Layers inside a
    /// ResBlock are known by both names and need no pairs.
    ///
    /// # Errors
    /// `Weights` if the component lacks some of the layers (the message names a few), or if a key
    /// fits several layers; if a value is not finite; or as [`Weights::values`].
    #[doc(hidden)]
    pub fn patches(
        &self,
        component: &str,
        names: &[&str],
        ldm: &[(String, String)],
        weight: f32,
    ) -> Result<Patches> {
        let weight = self.weight_of(component, weight);
        let layers = || self.layers.iter().filter(|layer| layer.component == component);
        let known = LayerAliases::new(names, ldm);
        let mut patches = Patches::new();
        let mut unknown = Vec::new();
        let context =
            |error: Error, layer: &Layer| error.context(format!("{}: {}", self.name, layer.key));
        for layer in layers() {
            let found = known.find(&layer.module).map_err(|error| error.context(&self.name))?;
            let Some(name) = found else {
                unknown.push(layer.key.as_str());
                continue;
            };
            let scale = self.scale(layer).map_err(|error| context(error, layer))?;
            let patch = change::patch(&self.weights, layer, scale, weight)
                .map_err(|error| context(error, layer))?;
            patches.entry(name.to_string()).or_default().extend(patch);
            let Some(bias) = &layer.bias else { continue };
            let name = name.strip_suffix("weight").unwrap_or(name).to_string() + "bias";
            if !names.contains(&name.as_str()) {
                let message = format!("{}: {bias}: expected a layer with a bias", self.name);
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            let patch = change::bias_patch(&self.weights, bias, weight)
                .map_err(|error| context(error, layer))?;
            patches.entry(name).or_default().push(patch);
        }
        if unknown.is_empty() {
            return Ok(patches);
        }
        let (count, all) = (unknown.len(), layers().count());
        unknown.truncate(3);
        let some = unknown.join(", ");
        let message = if count == all {
            format!(
                "{}: this LoRA is for another model family: none of its {all} layers of \
                 {component} exists here; it has {some}",
                self.name
            )
        } else {
            format!(
                "{}: expected layers of {component}, got {count} of {all} that it lacks: {some}",
                self.name
            )
        };
        Err(Error::new(ErrorKind::Weights, message))
    }

    /// The scale of a layer: alpha over rank. As LyCORIS and sd-scripts read it, an alpha of 0 is
    /// the rank, and that of a LoKr without decomposed factors has no effect.
    fn scale(&self, layer: &Layer) -> Result<f64> {
        if matches!(layer.change, None | Some(Change::Full(_) | Change::Factors { .. })) {
            return Ok(1.0);
        }
        let Some(alpha) = &layer.alpha else {
            return self.scales.of(layer.component, &layer.module, layer.rank());
        };
        let alpha = self.weights.scalar(alpha)?;
        Ok(match layer.rank() {
            Some(rank) if alpha != 0.0 => alpha / rank as f64,
            _ => 1.0,
        })
    }
}

/// Joins the patches of several LoRAs for the same component; they are applied in this order.
pub fn sum(patches: impl IntoIterator<Item = Patches>) -> Patches {
    let mut sum = Patches::new();
    for (name, more) in patches.into_iter().flatten() {
        sum.entry(name).or_default().extend(more);
    }
    sum
}
