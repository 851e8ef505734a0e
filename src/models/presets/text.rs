//! The text encoder of a preset: names and shapes of its weights, and its tokenizer's files.

use super::list::WeightShapes;
use crate::tokenizer::{END_OF_TEXT as END, START_OF_TEXT as START, clip_merges, clip_tokens};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The sizes of a preset's CLIP text encoder.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TextEncoderPreset {
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    pub activation: &'static str,
    pub positions: usize,
    /// Width of the projection of the pooled embedding (SDXL's second encoder), if there is one.
    pub projection: Option<usize>,
    /// Number of CLIP's merges in the tokenizer, from the first on; each makes a token.
    pub merges: usize,
    pub padding: &'static str,
}

/// Number of merges in CLIP's vocabulary.
pub(super) const ALL_MERGES: usize = 48_894;

impl TextEncoderPreset {
    /// Size of the vocabulary: the bytes, the bytes that end a word, the merges, start and end.
    fn vocabulary(&self) -> usize {
        2 * 256 + self.merges + 2
    }

    /// The transformers class.
    pub fn class(&self) -> &'static str {
        match self.projection {
            Some(_) => "CLIPTextModelWithProjection",
            None => "CLIPTextModel",
        }
    }

    /// Name and shape of every weight.
    pub fn weights(&self) -> BTreeMap<String, Vec<usize>> {
        let mut list = WeightShapes::default();
        let d = self.width;
        let embeddings = "text_model.embeddings";
        list.add(format!("{embeddings}.token_embedding.weight"), &[self.vocabulary(), d]);
        list.add(format!("{embeddings}.position_embedding.weight"), &[self.positions, d]);
        for layer in 0..self.layers {
            let layer = format!("text_model.encoder.layers.{layer}");
            list.norm(&format!("{layer}.layer_norm1"), d);
            for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                list.linear(&format!("{layer}.self_attn.{projection}"), d, d);
            }
            list.norm(&format!("{layer}.layer_norm2"), d);
            list.linear(&format!("{layer}.mlp.fc1"), d, 4 * d);
            list.linear(&format!("{layer}.mlp.fc2"), 4 * d, d);
        }
        list.norm("text_model.final_layer_norm", d);
        if let Some(width) = self.projection {
            list.add("text_projection.weight".into(), &[width, d]);
        }
        list.0
    }

    /// The `config.json` that goes with the weights.
    pub fn config(&self) -> Value {
        let end = self.vocabulary() - 1;
        json!({
            "architectures": [self.class()],
            "model_type": "clip_text_model",
            "vocab_size": self.vocabulary(),
            "hidden_size": self.width,
            "intermediate_size": 4 * self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "max_position_embeddings": self.positions,
            "projection_dim": self.projection.unwrap_or(self.width),
            "hidden_act": self.activation,
            "layer_norm_eps": 1e-5,
            "bos_token_id": end - 1,
            "eos_token_id": end,
            "pad_token_id": if self.padding == END { end } else { 0 },
        })
    }

    /// The tokenizer's files, as (name, text), with CLIP's vocabulary or its first merges.
    pub fn tokenizer(&self) -> Vec<(&'static str, String)> {
        let lines: Vec<_> = clip_merges().lines().take(1 + self.merges).collect();
        let tokens = clip_tokens(self.merges).enumerate();
        let vocabulary: Map<String, Value> = tokens.map(|(id, token)| (token, id.into())).collect();
        let special = json!({
            "bos_token": START, "eos_token": END, "unk_token": END, "pad_token": self.padding,
        });
        let mut config = json!({
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": self.positions,
            "do_lower_case": true,
            "add_prefix_space": false,
            "errors": "replace",
        });
        if let (Some(config), Some(special)) = (config.as_object_mut(), special.as_object()) {
            config.extend(special.clone());
        }
        vec![
            ("vocab.json", Value::from(vocabulary).to_string()),
            ("merges.txt", lines.join("\n") + "\n"),
            ("special_tokens_map.json", special.to_string()),
            ("tokenizer_config.json", config.to_string()),
        ]
    }
}

/// The padding token of tokenizers that pad with the end-of-text token.
pub(super) const END_PADS: &str = END;
