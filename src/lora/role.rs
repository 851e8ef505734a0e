//! The roles of tensors in LoRA files, by the ends of their keys.

/// The role of a tensor in the change of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// LoRA: alpha/rank · up · down, around a core in LyCORIS' Tucker decomposition.
    Down,
    Up,
    Mid,
    /// LoHa: (w1_a · w1_b) ∘ (w2_a · w2_b), each around a core t.
    HadaW1A,
    HadaW1B,
    HadaT1,
    HadaW2A,
    HadaW2B,
    HadaT2,
    /// LoKr: w1 ⊗ w2, each whole or a product, the second around a core t2.
    LokrW1,
    LokrW1A,
    LokrW1B,
    LokrW2,
    LokrW2A,
    LokrW2B,
    LokrT2,
    /// The whole difference of the weight, and of the bias.
    Diff,
    DiffBias,
    /// The scale of the change, times its rank.
    Alpha,
    /// DoRA's magnitudes: of LyCORIS and kohya, and of peft.
    DoraScale,
    Magnitude,
    /// (IA)³: factors, and whether they are of the inputs.
    Factors,
    OnInput,
}

/// The ends of keys: kohya's, peft's, the three that diffusers used before peft, and LyCORIS'.
const ENDS: [(&str, Role); 34] = [
    (".lora_up.weight", Role::Up),
    (".lora_down.weight", Role::Down),
    (".lora_mid.weight", Role::Mid),
    (".lora_B.weight", Role::Up),
    (".lora_A.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    (".lora_linear_layer.down.weight", Role::Down),
    (PROCESSOR[0], Role::Up),
    (PROCESSOR[1], Role::Down),
    (PROCESSOR[2], Role::Alpha),
    (".alpha", Role::Alpha),
    (".dora_scale", Role::DoraScale),
    (".lora_magnitude_vector", Role::Magnitude),
    (".lora_magnitude_vector.weight", Role::Magnitude),
    (".hada_w1_a", Role::HadaW1A),
    (".hada_w1_b", Role::HadaW1B),
    (".hada_t1", Role::HadaT1),
    (".hada_w2_a", Role::HadaW2A),
    (".hada_w2_b", Role::HadaW2B),
    (".hada_t2", Role::HadaT2),
    (".lokr_w1", Role::LokrW1),
    (".lokr_w1_a", Role::LokrW1A),
    (".lokr_w1_b", Role::LokrW1B),
    (".lokr_w2", Role::LokrW2),
    (".lokr_w2_a", Role::LokrW2A),
    (".lokr_w2_b", Role::LokrW2B),
    (".lokr_t2", Role::LokrT2),
    (".diff", Role::Diff),
    (".diff_b", Role::DiffBias),
    (".w_norm", Role::Diff),
    (".b_norm", Role::DiffBias),
    (".on_input", Role::OnInput),
];

/// The ends of a LoRA on an attention processor (`….processor.to_q_lora.up`).
pub(super) const PROCESSOR: [&str; 3] = ["_lora.up.weight", "_lora.down.weight", "_lora.alpha"];

/// (IA)³'s factors end like any weight of a model, but follow a prefix of kohya's or LyCORIS'.
const FACTORS: &str = ".weight";

/// Marks of keys that belong to methods that are not read, and the names of the methods.
const OTHERS: [(&str, &str); 21] = [
    (".oft_", "OFT or BOFT"),
    (".boft_", "BOFT"),
    (".a1.weight", "GLoRA"),
    (".a2.weight", "GLoRA"),
    (".b1.weight", "GLoRA"),
    (".b2.weight", "GLoRA"),
    (".bm.weight", "GLoRA"),
    (".q_layer.", "T-LoRA"),
    (".p_layer.", "T-LoRA"),
    (".lambda_layer", "T-LoRA"),
    (".ia3_l", "peft's (IA)³"),
    (".vera_", "VeRA"),
    (".lora_embedding_", "a LoRA of an embedding"),
    (".lora_A.bias", "a LoRA with biases"),
    (".lora_B.bias", "a LoRA with biases"),
    (".lora_E", "AdaLoRA"),
    (".lokr_t1", "a LoKr whose first factor has a core (lokr_t1)"),
    (".bias_", "sparse biases"),
    (".set_weight", "whole weights (set_weight)"),
    (".reshape_weight", "weights of other shapes (reshape_weight)"),
    ("bundle_emb.", "bundled textual inversions"),
];

/// What comes before the end of a key, the end, and the role; `flat` tells whether the key has a
/// prefix of kohya's or LyCORIS'.
pub(super) fn split(key: &str, flat: bool) -> Option<(&str, &'static str, Role)> {
    let found = ENDS.iter().find_map(|&(end, role)| Some((key.strip_suffix(end)?, end, role)));
    found.or_else(|| {
        if !flat || other(key).is_some() {
            return None;
        }
        // A name of kohya's or LyCORIS' has no dots.
        let rest = key.strip_suffix(FACTORS).filter(|rest| !rest.contains('.'))?;
        Some((rest, FACTORS, Role::Factors))
    })
}

/// The name of the method that is not read to which a key belongs.
pub(super) fn other(key: &str) -> Option<&'static str> {
    OTHERS.iter().find(|(mark, _)| key.contains(mark)).map(|(_, name)| *name)
}
