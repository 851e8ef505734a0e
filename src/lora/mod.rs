//! LoRA files (Hu et al. 2021): low-rank changes of a model's weights, read as patches for
//! [`Weights::set_patches`].
//!
//! The keys of a file depend on the program that wrote it. [`Lora`] reads the layouts of kohya's
//! sd-scripts, of peft, and of diffusers before it used peft, for linear layers and convolutions of
//! any kernel size. Methods other than the plain product of two matrices (LoHa, LoKr, DoRA, CP) are
//! refused.
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

mod key;
mod names;
mod scale;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, ErrorKind, Result};
use crate::weights::{LowRank, Source, Weights};
use key::{Key, Module, TensorRole};
use names::LayerAliases;
use scale::Scales;

/// Patches to add to the weights, by weight name; see [`Weights::set_patches`].
pub type Patches = BTreeMap<String, Vec<LowRank>>;

/// A LoRA file. Its values are not read before [`Lora::patches`].
#[derive(Clone)]
pub struct Lora {
    name: String,
    weights: Weights,
    layers: Vec<Layer>,
    scales: Scales,
}

/// The LoRA of one layer: the names of its tensors in the file, and its rank.
#[derive(Clone)]
struct Layer {
    component: &'static str,
    module: Module,
    up: String,
    down: String,
    alpha: Option<String>,
    rank: usize,
}

impl Lora {
    /// Opens a LoRA in memory; `name` stands for the file in messages.
    ///
    /// # Errors
    /// `Format` if the file is damaged; `Weights` naming the key if a tensor belongs to no LoRA, or
    /// if one matrix of a pair is missing or of another rank; `Unsupported` naming the method if it
    /// is LoHa, LoKr, DoRA, CP or another relative.
    pub fn from_bytes(name: impl Into<String>, source: impl Into<Source>) -> Result<Self> {
        let name = name.into();
        let weights = Weights::from_bytes(name.clone(), source)?;
        Self::new(name, weights)
    }

    /// Opens a LoRA file, memory-mapped as by [`Weights::open`]. Beside peft's
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

    fn new(name: String, weights: Weights) -> Result<Self> {
        let mut found: BTreeMap<(&'static str, Module), BTreeMap<TensorRole, String>> =
            BTreeMap::new();
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
            return Err(Error::new(ErrorKind::Weights, message));
        }
        let mut layers = Vec::new();
        for ((component, module), mut parts) in found {
            let (up, down) = (parts.remove(&TensorRole::Up), parts.remove(&TensorRole::Down));
            let alpha = parts.remove(&TensorRole::Alpha);
            let (Some(up), Some(down)) = (&up, &down) else {
                let got = up.or(down).or(alpha).unwrap_or_default();
                let message = format!("{name}: expected an up and a down matrix, got only {got}");
                return Err(Error::new(ErrorKind::Weights, message));
            };
            let rank = rank(&weights, up, down).map_err(|error| error.context(&name))?;
            let (up, down) = (up.clone(), down.clone());
            layers.push(Layer { component, module, up, down, alpha, rank });
        }
        let scales = Scales::from_metadata(&name, weights.metadata())?;
        Ok(Lora { name, weights, layers, scales })
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

    /// The patches for the weights of a component, times `weight`; none if the file does not change
    /// that component.
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
        let layers = || self.layers.iter().filter(|layer| layer.component == component);
        let known = LayerAliases::new(names, ldm);
        let mut patches = Patches::new();
        let mut unknown = Vec::new();
        for layer in layers() {
            let found = known.find(&layer.module).map_err(|error| error.context(&self.name))?;
            let Some(name) = found else {
                unknown.push(layer.down.as_str());
                continue;
            };
            let patch = self
                .patch(layer, weight)
                .map_err(|error| error.context(format!("{}: {}", self.name, layer.down)))?;
            patches.entry(name.to_string()).or_default().push(patch);
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

    fn patch(&self, layer: &Layer, weight: f32) -> Result<LowRank> {
        let scale = match &layer.alpha {
            Some(alpha) => self.weights.scalar(alpha)? / layer.rank as f64,
            None => self.scales.of(layer.component, &layer.module, layer.rank)?,
        };
        let up = self.weights.read_f32(&layer.up)?;
        let down = self.weights.read_f32(&layer.down)?;
        LowRank::new(up, down, layer.rank, (scale * f64::from(weight)) as f32)
    }
}

/// Joins the patches of several LoRAs for the same component; their changes add up.
pub fn sum(patches: impl IntoIterator<Item = Patches>) -> Patches {
    let mut sum = Patches::new();
    for (name, more) in patches.into_iter().flatten() {
        sum.entry(name).or_default().extend(more);
    }
    sum
}

/// The rank r of a pair: up `[O, r]` or `[O, r, 1, 1]` and down `[r, I]` or `[r, I, kh, kw]`.
fn rank(weights: &Weights, up: &str, down: &str) -> Result<usize> {
    let shape = |name: &str| weights.shape(name).unwrap_or_default();
    if let ([_, rank, rest @ ..], [same, _, ..]) = (shape(up), shape(down))
        && rank == same
        && *rank > 0
        && rest.iter().all(|&dim| dim == 1)
    {
        return Ok(*rank);
    }
    let message = format!(
        "{up}: expected [O, r] or [O, r, 1, 1] beside {down} of [r, I] or [r, I, kh, kw], got {:?} \
         and {:?}",
        shape(up),
        shape(down)
    );
    Err(Error::new(ErrorKind::Weights, message))
}
