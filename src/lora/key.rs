//! Keys of LoRA files in the layouts of kohya's sd-scripts, LyCORIS, peft, diffusers and ComfyUI.

use super::role::{PROCESSOR, Role, other, split};
use crate::error::{Error, ErrorKind, Result};

/// A parsed key: the component, the layer and the role of one tensor of a LoRA.
pub(super) struct Key {
    /// The component's name in diffusers.
    pub component: &'static str,
    pub module: Module,
    pub role: Role,
}

/// The layer (PyTorch module) that a key names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Module {
    /// The module path in the model: `down_blocks.0.attentions.0.proj_in`.
    Path(String),
    /// The module path with underscores for dots, as in kohya's files.
    Flat(String),
}

/// kohya's prefixes; SDXL's text encoders are numbered.
const FLAT: [(&str, &str); 4] = [
    ("lora_unet_", "unet"),
    ("lora_te_", "text_encoder"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
];

/// The prefix of LyCORIS' own networks, which wrap one component and do not name it.
const LYCORIS: &str = "lycoris_";

/// The beginnings of layer names in a text encoder, with underscores for dots.
const TEXT: [&str; 2] = ["text_model_", "encoder_layers_"];

/// Prefixes of diffusers, and of ComfyUI for the UNet.
const PATHS: [(&str, &str); 4] = [
    ("unet.", "unet"),
    ("diffusion_model.", "unet"),
    ("text_encoder.", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
];

/// The prefix that peft's wrapper adds to module paths.
const WRAPPER: &str = "base_model.model.";

/// Parses a key.
///
/// # Errors
/// `Unsupported` if it belongs to another method (OFT, GLoRA, …), `Weights` if the key is not known
/// at all.
pub(super) fn parse(key: &str) -> Result<Key> {
    let flat = key.starts_with(LYCORIS) || FLAT.iter().any(|(prefix, _)| key.starts_with(prefix));
    let Some((rest, end, role)) = split(key, flat) else {
        let (kind, message) = match other(key) {
            Some(method) => (
                ErrorKind::Unsupported,
                format!(
                    "{key}: expected a LoRA, LoHa, LoKr, DoRA or full difference, got {method}"
                ),
            ),
            None => (
                ErrorKind::Weights,
                format!("{key}: expected a key of a LoRA, such as … .lora_down.weight or .alpha"),
            ),
        };
        return Err(Error::new(kind, message));
    };
    if let Some(module) = rest.strip_prefix(LYCORIS) {
        let text = TEXT.iter().any(|start| module.starts_with(start));
        let component = if text { "text_encoder" } else { "unet" };
        return Ok(Key { component, module: Module::Flat(module.into()), role });
    }
    for (prefix, component) in FLAT {
        if let Some(module) = rest.strip_prefix(prefix) {
            return Ok(Key { component, module: Module::Flat(module.into()), role });
        }
    }
    let rest = rest.strip_prefix(WRAPPER).unwrap_or(rest);
    let named = PATHS.iter().find_map(|&(prefix, name)| Some((name, rest.strip_prefix(prefix)?)));
    // A file for a single component may omit the component's name.
    let (component, path) = named.unwrap_or_else(|| {
        let text = ["text_model.", "encoder.layers."].iter().any(|start| rest.starts_with(start));
        (if text { "text_encoder" } else { "unet" }, rest)
    });
    let path = path.strip_prefix(WRAPPER).unwrap_or(path);
    let path = if PROCESSOR.contains(&end) {
        attention_path(path)
    } else {
        // The alpha of a layer is named beside its matrices or one level above them.
        let ends = [".lora", ".lora_linear_layer"];
        ends.iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path).into()
    };
    Ok(Key { component, module: Module::Path(path), role })
}

/// The module path of the projection that an attention processor's `to_q`, `to_k`, `to_v` or
/// `to_out` changes, in the UNet or in CLIP.
fn attention_path(path: &str) -> String {
    let path = path.replace(".processor.", ".");
    let Some((attention, layer)) = path.rsplit_once('.') else { return path };
    let layer = match (attention.ends_with(".self_attn"), layer) {
        (true, "to_q") => "q_proj",
        (true, "to_k") => "k_proj",
        (true, "to_v") => "v_proj",
        (true, "to_out") => "out_proj",
        (false, "to_out") => "to_out.0",
        (_, layer) => layer,
    };
    format!("{attention}.{layer}")
}
