//! What the keys of LoRA files say, layout by layout.

use crate::error::{Error, ErrorKind, Result};

/// A key, taken apart.
pub(super) struct Key {
    /// diffusers' name of the component.
    pub component: &'static str,
    pub module: Module,
    pub part: Part,
}

/// The name of a layer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Module {
    /// Its path in the model: `down_blocks.0.attentions.0.proj_in`.
    Path(String),
    /// Its path with underscores for dots, as kohya's files have it.
    Flat(String),
}

/// What of a layer's change a tensor is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Up,
    Down,
    Alpha,
}

/// kohya's prefixes; the text encoders of SDXL are counted.
const FLAT: [(&str, &str); 4] = [
    ("lora_unet_", "unet"),
    ("lora_te_", "text_encoder"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
];

/// diffusers' prefixes, and ComfyUI's of the UNet.
const PATHS: [(&str, &str); 4] = [
    ("unet.", "unet"),
    ("diffusion_model.", "unet"),
    ("text_encoder.", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
];

/// What peft's wrapper puts before the names.
const WRAPPER: &str = "base_model.model.";

/// Which end of a key means what: kohya's, peft's, and diffusers' three of before peft.
const ENDS: [(&str, Part); 12] = [
    (".lora_up.weight", Part::Up),
    (".lora_down.weight", Part::Down),
    (".lora_B.weight", Part::Up),
    (".lora_A.weight", Part::Down),
    (".lora.up.weight", Part::Up),
    (".lora.down.weight", Part::Down),
    (".lora_linear_layer.up.weight", Part::Up),
    (".lora_linear_layer.down.weight", Part::Down),
    (PROCESSOR_UP, Part::Up),
    (PROCESSOR_DOWN, Part::Down),
    (PROCESSOR_ALPHA, Part::Alpha),
    (".alpha", Part::Alpha),
];

/// The ends of keys where the LoRA belongs to an attention processor: `….processor.to_q_lora.up`.
const PROCESSOR_UP: &str = "_lora.up.weight";
const PROCESSOR_DOWN: &str = "_lora.down.weight";
const PROCESSOR_ALPHA: &str = "_lora.alpha";

/// Parts of keys that are something else than LoRA.
const OTHERS: [(&str, &str); 11] = [
    (".hada_", "LoHa"),
    (".lokr_", "LoKr"),
    (".dora_scale", "DoRA"),
    (".lora_magnitude_vector", "DoRA"),
    (".lora_mid.", "a CP decomposition (lora_mid)"),
    (".oft_", "OFT"),
    (".on_input", "(IA)³"),
    (".diff", "whole differences of weights (diff)"),
    (".w_norm", "differences of norms"),
    (".b_norm", "differences of norms"),
    ("bundle_emb.", "embeddings of words"),
];

/// Takes a key apart.
///
/// # Errors
/// `Unsupported` if it belongs to a relative of LoRA, `Weights` if to nothing that is known.
pub(super) fn parse(key: &str) -> Result<Key> {
    let end = ENDS.iter().find_map(|&(end, part)| Some((key.strip_suffix(end)?, end, part)));
    let Some((rest, end, part)) = end else {
        let message = match OTHERS.iter().find(|(mark, _)| key.contains(mark)) {
            Some((_, kind)) => {
                let message = format!("{key}: expected a plain LoRA, got {kind}");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            None => {
                format!("{key}: expected a key of a LoRA, such as … .lora_down.weight or .alpha")
            }
        };
        return Err(Error::new(ErrorKind::Weights, message));
    };
    for (prefix, component) in FLAT {
        if let Some(module) = rest.strip_prefix(prefix) {
            return Ok(Key { component, module: Module::Flat(module.into()), part });
        }
    }
    let rest = rest.strip_prefix(WRAPPER).unwrap_or(rest);
    let named = PATHS.iter().find_map(|&(prefix, name)| Some((name, rest.strip_prefix(prefix)?)));
    // Files of one component may leave its name out.
    let (component, path) = named.unwrap_or_else(|| {
        (if rest.starts_with("text_model.") { "text_encoder" } else { "unet" }, rest)
    });
    let path = path.strip_prefix(WRAPPER).unwrap_or(path);
    let path = if [PROCESSOR_UP, PROCESSOR_DOWN, PROCESSOR_ALPHA].contains(&end) {
        attention_path(path)
    } else {
        // The alpha of a layer stands beside its matrices or above them.
        let ends = [".lora", ".lora_linear_layer"];
        ends.iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path).into()
    };
    Ok(Key { component, module: Module::Path(path), part })
}

/// The layer that an attention processor's `to_q`, `to_k`, `to_v`, `to_out` changes, in the UNet
/// and in CLIP.
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
