//! Keys of LoRA files in the layouts of kohya's sd-scripts, peft, diffusers and ComfyUI.

use crate::error::{Error, ErrorKind, Result};

/// A parsed key: the component, the layer and the role of one tensor of a LoRA.
pub(super) struct Key {
    /// The component's name in diffusers.
    pub component: &'static str,
    pub module: Module,
    pub role: TensorRole,
}

/// The layer (PyTorch module) that a key names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Module {
    /// The module path in the model: `down_blocks.0.attentions.0.proj_in`.
    Path(String),
    /// The module path with underscores for dots, as in kohya's files.
    Flat(String),
}

/// The role of a tensor in a layer's LoRA ΔW = alpha/rank · up · down.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TensorRole {
    Up,
    Down,
    Alpha,
}

/// kohya's prefixes; SDXL's text encoders are numbered.
const FLAT: [(&str, &str); 4] = [
    ("lora_unet_", "unet"),
    ("lora_te_", "text_encoder"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
];

/// Prefixes of diffusers, and of ComfyUI for the UNet.
const PATHS: [(&str, &str); 4] = [
    ("unet.", "unet"),
    ("diffusion_model.", "unet"),
    ("text_encoder.", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
];

/// The prefix that peft's wrapper adds to module paths.
const WRAPPER: &str = "base_model.model.";

/// The suffixes that tell a tensor's role: kohya's, peft's, and the three that diffusers used
/// before peft.
const ENDS: [(&str, TensorRole); 12] = [
    (".lora_up.weight", TensorRole::Up),
    (".lora_down.weight", TensorRole::Down),
    (".lora_B.weight", TensorRole::Up),
    (".lora_A.weight", TensorRole::Down),
    (".lora.up.weight", TensorRole::Up),
    (".lora.down.weight", TensorRole::Down),
    (".lora_linear_layer.up.weight", TensorRole::Up),
    (".lora_linear_layer.down.weight", TensorRole::Down),
    (PROCESSOR_UP, TensorRole::Up),
    (PROCESSOR_DOWN, TensorRole::Down),
    (PROCESSOR_ALPHA, TensorRole::Alpha),
    (".alpha", TensorRole::Alpha),
];

/// The suffixes of a LoRA on an attention processor (`….processor.to_q_lora.up`).
const PROCESSOR_UP: &str = "_lora.up.weight";
const PROCESSOR_DOWN: &str = "_lora.down.weight";
const PROCESSOR_ALPHA: &str = "_lora.alpha";

/// Marks of keys that belong to other methods than LoRA, and the name of the method.
const OTHERS: [(&str, &str); 11] = [
    (".hada_", "LoHa"),
    (".lokr_", "LoKr"),
    (".dora_scale", "DoRA"),
    (".lora_magnitude_vector", "DoRA"),
    (".lora_mid.", "a CP decomposition (lora_mid)"),
    (".oft_", "OFT"),
    (".on_input", "(IA)³"),
    (".diff", "full weight differences (diff)"),
    (".w_norm", "differences of norms"),
    (".b_norm", "differences of norms"),
    ("bundle_emb.", "bundled textual inversions"),
];

/// Parses a key.
///
/// # Errors
/// `Unsupported` if it belongs to another method (LoHa, LoKr, DoRA, …), `Weights` if the key is not
/// known at all.
pub(super) fn parse(key: &str) -> Result<Key> {
    let end = ENDS.iter().find_map(|&(end, role)| Some((key.strip_suffix(end)?, end, role)));
    let Some((rest, end, role)) = end else {
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
            return Ok(Key { component, module: Module::Flat(module.into()), role });
        }
    }
    let rest = rest.strip_prefix(WRAPPER).unwrap_or(rest);
    let named = PATHS.iter().find_map(|&(prefix, name)| Some((name, rest.strip_prefix(prefix)?)));
    // A file for a single component may omit the component's name.
    let (component, path) = named.unwrap_or_else(|| {
        (if rest.starts_with("text_model.") { "text_encoder" } else { "unet" }, rest)
    });
    let path = path.strip_prefix(WRAPPER).unwrap_or(path);
    let path = if [PROCESSOR_UP, PROCESSOR_DOWN, PROCESSOR_ALPHA].contains(&end) {
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
