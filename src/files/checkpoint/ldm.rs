//! Renaming of the original implementation's tensors to diffusers' names.
//!
//! "LDM" is CompVis' latent-diffusion, which wrote Stable Diffusion 1's files, and Stability's
//! successors of it, which wrote 2.x and XL: one file holds UNet, autoencoder and text encoders,
//! each under a prefix. stable-diffusion.cpp writes the same names into its GGUF files, but for
//! OpenCLIP's, which it replaces by those of transformers.

use super::blocks::{RESNET, UnetLayout};
use super::pattern::rename;
use super::tables::{CONTROLNET, TEXT, VAE};
use crate::weights::{View, Weights};
use std::collections::BTreeMap;

/// The name prefix of each component in a file. A prefix that starts with another one comes first.
const PREFIXES: [(&str, &str); 11] = [
    (UNET_PREFIX, "unet"),
    (CONTROLNET_PREFIX, "controlnet"),
    ("first_stage_model.", "vae"),
    ("vae.", "vae"),
    // Text encoders: of transformers after `transformer.`, of OpenCLIP after `model.`.
    ("cond_stage_model.transformer.", "text_encoder"),
    ("cond_stage_model.model.", "text_encoder"),
    ("conditioner.embedders.0.transformer.", "text_encoder"),
    ("conditioner.embedders.0.model.", "text_encoder"),
    ("cond_stage_model.1.transformer.", "text_encoder_2"),
    ("conditioner.embedders.1.transformer.", "text_encoder_2"),
    ("conditioner.embedders.1.model.", "text_encoder_2"),
];

const UNET_PREFIX: &str = "model.diffusion_model.";
const CONTROLNET_PREFIX: &str = "control_model.";

/// Name prefixes of tensors that no component holds: EMA weights, tables that follow from the noise
/// schedule, and the marks `v_pred` and `ztsnr`, which `Sampling` reads.
const IGNORED_STARTS: [&str; 18] = [
    "model_ema.",
    "alphas_cumprod",
    "betas",
    "denoiser.",
    "log_one_minus_alphas_cumprod",
    "logvar",
    "lvlb_weights",
    "posterior_",
    "sqrt_",
    "scale_factor",
    "global_step",
    "v_pred",
    "ztsnr",
    "first_stage_model.loss.",
    "loss.",
    "embedding_manager.",
    "cond_stage_model.model.visual.",
    "conditioner.embedders.0.model.visual.",
];

/// Name endings of tensors that inference does not need: constants of CLIP, and its logit scale.
const IGNORED_ENDS: [&str; 3] = ["position_ids", "logit_scale", "attn_mask"];

/// The most layers of a first text encoder: those of Stable Diffusion 2.
const LAYERS: usize = 23;

/// The destination of a tensor of a single file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Part of a component, under these names.
    Component(&'static str, Vec<(String, View)>),
    /// Not needed for inference.
    Ignored,
    /// No known component.
    Unknown,
}

/// Recognition of files with one component and no prefix: a start of its names, the component, and
/// whether the names are diffusers' already.
const BARE: [(&str, &str, bool); 7] = [
    ("input_hint_block.", "controlnet", false),
    ("controlnet_cond_embedding.", "controlnet", true),
    ("input_blocks.", "unet", false),
    ("decoder.mid.", "vae", false),
    ("down_blocks.", "unet", true),
    ("decoder.mid_block.", "vae", true),
    ("text_model.", "text_encoder", false),
];

/// A UNet's block names: LDM's to diffusers'.
type Blocks = BTreeMap<String, String>;

/// The renaming of one file's tensors.
#[derive(Clone, Debug)]
pub struct LdmNames {
    /// The component of names without a prefix, and whether they are diffusers' already.
    bare: Option<(&'static str, bool)>,
    unet: Blocks,
    controlnet: Blocks,
    /// Resolutions of the autoencoder.
    levels: usize,
    /// Layers of the first text encoder that are used.
    layers: usize,
}

impl LdmNames {
    /// Reads the blocks and layers from a file's tensor names.
    pub fn of(weights: &Weights) -> LdmNames {
        let starts = |prefix: &str| weights.names().any(|name| name.starts_with(prefix));
        let prefixed = PREFIXES.iter().any(|(prefix, _)| starts(prefix));
        let bare = BARE.iter().find(|(start, ..)| !prefixed && starts(start));
        let bare = bare.map(|(_, component, same)| (*component, *same));
        let blocks = |prefix: &str| -> Blocks {
            let prefix = if bare.is_some() { "" } else { prefix };
            let inside = weights.names().filter_map(|name| name.strip_prefix(prefix));
            UnetLayout::from_ldm(inside).block_names().into_iter().collect()
        };
        let (unet, controlnet) = (blocks(UNET_PREFIX), blocks(CONTROLNET_PREFIX));
        let level = |name: &str| {
            let (_, up) = name.split_once("decoder.up.")?;
            up.split('.').next()?.parse::<usize>().ok()
        };
        // A number that leaves no room for one more is damage, and fits no level.
        let levels = weights.names().filter_map(level).max();
        let levels = levels.and_then(|level| level.checked_add(1)).unwrap_or(0);
        LdmNames { bare, unet, controlnet, levels, layers: layers(weights) }
    }

    /// The destination of a tensor of this name and shape.
    pub fn destination(&self, name: &str, shape: &[usize]) -> Destination {
        if IGNORED_STARTS.iter().any(|start| name.starts_with(start))
            || IGNORED_ENDS.iter().any(|end| name.ends_with(end))
        {
            return Destination::Ignored;
        }
        let part = PREFIXES.iter().find_map(|(prefix, component)| {
            name.strip_prefix(prefix).map(|inside| (*component, inside))
        });
        let (component, inside) = match (part, self.bare) {
            (Some(part), _) => part,
            (None, Some((component, false))) => (component, name),
            (None, Some((component, true))) => {
                return Destination::Component(component, vec![(name.into(), View::Whole)]);
            }
            (None, None) => return Destination::Unknown,
        };
        let whole = |new: Option<String>| new.map(|new| vec![(new, View::Whole)]);
        let names = match component {
            "unet" => whole(unet(&self.unet, inside)),
            "controlnet" => {
                whole(rename(&CONTROLNET, inside).or_else(|| unet(&self.controlnet, inside)))
            }
            "vae" => whole(self.vae(inside)),
            _ if component == "text_encoder" && self.left_out(inside) => {
                return Destination::Ignored;
            }
            _ => text(inside, shape),
        };
        names.map_or(Destination::Unknown, |names| Destination::Component(component, names))
    }

    /// Whether diffusers drops a tensor of the first text encoder.
    fn left_out(&self, name: &str) -> bool {
        let name = name.strip_prefix("text_model.").unwrap_or(name);
        let layer = ["transformer.resblocks.", "encoder.layers."]
            .iter()
            .find_map(|start| name.strip_prefix(start)?.split('.').next()?.parse::<usize>().ok());
        name.starts_with("text_projection") || layer.is_some_and(|layer| layer >= self.layers)
    }

    fn vae(&self, name: &str) -> Option<String> {
        let (side, inside) = name.split_once('.')?;
        match side {
            "quant_conv" | "post_quant_conv" => return Some(name.into()),
            "encoder" | "decoder" => {}
            _ => return None,
        }
        let turned = match inside.strip_prefix("up.").and_then(|up| up.split_once('.')) {
            // LDM counts from the finest level, diffusers in the order of the computation.
            Some((level, inside)) => {
                let after = level.parse::<usize>().ok()?.checked_add(1)?;
                let level = self.levels.checked_sub(after)?;
                format!("up.{level}.{inside}")
            }
            None => inside.into(),
        };
        let new = rename(&VAE, &turned)?.replace(".nin_shortcut.", ".conv_shortcut.");
        Some(format!("{side}.{new}"))
    }
}

/// The diffusers name of a layer of a UNet or ControlNet.
fn unet(blocks: &Blocks, name: &str) -> Option<String> {
    let dots = name.match_indices('.').map(|(at, _)| at);
    let (ours, inside) = dots.rev().find_map(|at| {
        let (block, inside) = (&name[..at], &name[at + 1..]);
        blocks.get(block).map(|ours| (ours, inside))
    })?;
    if !ours.contains("resnets") {
        return Some(format!("{ours}.{inside}"));
    }
    let (layer, leaf) = inside.rsplit_once('.')?;
    let (_, layer) = RESNET.iter().find(|(ldm, _)| *ldm == layer)?;
    Some(format!("{ours}.{layer}.{leaf}"))
}

/// The number of layers of the first text encoder that are used: Stable Diffusion 2 stops before the last of
/// OpenCLIP's, and diffusers leaves that one out. Files that were converted back from diffusers do
/// not have it, nor the projection by which a whole encoder is known.
fn layers(weights: &Weights) -> usize {
    let prefixes = ["cond_stage_model.model.", "conditioner.embedders.0.model."];
    let inside = |name: &str| prefixes.iter().find_map(|p| Some(name.strip_prefix(p)?.to_string()));
    let whole = weights.names().filter_map(inside).any(|name| name == "text_projection");
    let layer = |name: &str| {
        let layer =
            inside(name)?.strip_prefix("transformer.resblocks.")?.split('.').next()?.parse();
        layer.ok()
    };
    let last = weights.names().filter_map(layer).max().filter(|_| whole);
    last.unwrap_or(LAYERS).min(LAYERS)
}

fn text(name: &str, shape: &[usize]) -> Option<Vec<(String, View)>> {
    let name = name.strip_prefix("text_model.").unwrap_or(name);
    if name == "text_projection" {
        // OpenCLIP multiplies rows with it, transformers has a linear layer.
        return Some(vec![("text_projection.weight".into(), View::Transposed)]);
    }
    let new = rename(&TEXT, name)?;
    let Some((layer, leaf)) = new.split_once(".in_proj.") else {
        return Some(vec![(new, View::Whole)]);
    };
    let rows = *shape.first()?;
    let third = rows / 3;
    let part = |(index, letter)| {
        (format!("{layer}.{letter}_proj.{leaf}"), View::Rows(index * third..(index + 1) * third))
    };
    (rows % 3 == 0).then(|| (0..).zip(["q", "k", "v"]).map(part).collect())
}
