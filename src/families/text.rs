//! The text encoders of a family.

use crate::error::Result;
use crate::models::network::TextNetwork;
use crate::tokenizer::{Tokenizer, TokenizerFiles};
use crate::weights::Weights;

/// The text encoders of a family. Their hidden states are joined along the width.
pub struct TextPlan {
    /// The encoders in the order of their hidden states. An encoder is optional if a later one
    /// exists and its own `config.json` does not.
    pub encoders: &'static [EncoderPlan],
    /// Whether embeddings of zeros stand for an empty negative prompt, unless
    /// `force_zeros_for_empty_prompt` in `model_index.json` says otherwise.
    pub zeros_for_empty: bool,
}

/// One text encoder of a family.
pub struct EncoderPlan {
    /// The folder of its configuration and weights.
    pub folder: &'static str,
    /// A start of the names of its weights that is left out where it is there.
    pub prefix: &'static str,
    /// Its tokenizer.
    pub tokenizer: TokenizerPlan,
    /// Reads its `config.json` (file name for messages, and text).
    pub network: fn(file: &str, config: &str, weights: &Weights) -> Result<Box<dyn TextNetwork>>,
    /// The activation function of the published encoder, which a single file does not tell:
    /// `hidden_act` in its `config.json`.
    pub activation: &'static str,
}

/// The tokenizer of a text encoder.
pub struct TokenizerPlan {
    /// The folder of its files.
    pub folder: &'static str,
    /// A folder that serves where the first one holds no vocabulary, and the padding token to use
    /// then.
    pub fallback: Option<(&'static str, &'static str)>,
    /// The published padding token, which a single file does not tell.
    pub padding: &'static str,
    /// Reads the files for an encoder of at most so many tokens.
    pub open: fn(&TokenizerFiles<'_>, max_length: usize) -> Result<Tokenizer>,
}
