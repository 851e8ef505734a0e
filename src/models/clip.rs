//! CLIP's text encoder (Radford et al., arXiv 2103.00020; transformers' `CLIPTextModel`).

use super::network::TextStates;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{AttentionShape, Scope, Tensor};
use crate::kernels::activation::Function;
use crate::kernels::attention::Form;
use crate::weights::Weights;
use serde::Deserialize;

/// Name of the token embedding table, `[vocabulary, D]`.
pub const TOKENS: &str = "embeddings.token_embedding.weight";
/// Name of the position embedding table, `[tokens, D]`.
pub const POSITIONS: &str = "embeddings.position_embedding.weight";

/// The keys of a `CLIPTextModel`'s `config.json` that weight shapes do not show.
#[derive(Clone, Debug, Deserialize)]
pub struct ClipConfig {
    /// Number of token ids in a row, padding included.
    #[serde(default = "default_tokens")]
    pub max_position_embeddings: usize,
    num_attention_heads: usize,
    /// Number of the file's layers that the model uses; `None` is all.
    num_hidden_layers: Option<usize>,
    #[serde(default = "default_activation")]
    hidden_act: String,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
    /// Id of the end-of-text token; CLIP's own if it is missing.
    eos_token_id: Option<u32>,
}

fn default_tokens() -> usize {
    77
}
fn default_activation() -> String {
    "quick_gelu".into()
}
fn default_epsilon() -> f64 {
    1e-5
}

/// CLIP's end-of-text id.
const EOS: u32 = 49_407;
/// The wrong `eos_token_id` in configurations from before transformers 4.31.
const UNKNOWN_EOS: u32 = 2;

/// The activation function of a configuration's `hidden_act`, if it is a known one.
pub(super) fn activation(name: &str) -> Option<Function> {
    match name {
        "quick_gelu" => Some(Function::QuickGelu),
        "gelu" => Some(Function::Gelu),
        _ => None,
    }
}

impl ClipConfig {
    /// The position of the pooled embedding in a row of ids: the first end-of-text token, as in
    /// transformers. With the wrong `eos_token_id` 2 it is the position of the largest id.
    pub fn pooled_position(&self, ids: &[u32]) -> usize {
        let wanted = match self.eos_token_id.unwrap_or(EOS) {
            UNKNOWN_EOS => ids.iter().max().copied().unwrap_or_default(),
            eos => eos,
        };
        ids.iter().position(|id| *id == wanted).unwrap_or_default()
    }
}

/// The outputs wanted of a text encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Number of last layers that the hidden state skips.
    pub skip: usize,
    /// Whether the final layer norm is applied to the hidden state.
    pub norm: bool,
    /// Whether the projected states are computed too.
    pub projection: bool,
}

/// The text encoder: token plus position embeddings `[B, T, D]` to the last hidden state after the
/// final layer norm, `[B, T, D]`. [`embed`] gathers the input on the host, so that the token table
/// need not be on the GPU.
pub fn text_encoder<'g>(m: &Scope<'g>, config: &ClipConfig, embeddings: Tensor<'g>) -> Tensor<'g> {
    let reading = Reading { skip: 0, norm: true, projection: false };
    text_states(m, config, embeddings, reading).hidden
}

/// The text encoder up to the layers that `reading` asks for; weights of further layers are not
/// used. Arguments as of [`text_encoder`].
pub fn text_states<'g>(
    m: &Scope<'g>,
    config: &ClipConfig,
    embeddings: Tensor<'g>,
    reading: Reading,
) -> TextStates<'g> {
    m.ignore("embeddings.");
    let failed = |kind, message: String| {
        m.fail(kind, message);
        TextStates { hidden: embeddings, projected: None }
    };
    let Some(activation) = activation(&config.hidden_act) else {
        let (path, got) = (m.path(), &config.hidden_act);
        let expected = "expected \"quick_gelu\" or \"gelu\"";
        let message = format!("{path}/config.json: hidden_act: {expected}, got {got:?}");
        return failed(ErrorKind::Unsupported, message);
    };
    let layers = m.each("encoder.layers");
    let count = config.num_hidden_layers.unwrap_or(layers.len());
    if count > layers.len() {
        let message = format!("encoder.layers: expected {count} layers, got {}", layers.len());
        return failed(ErrorKind::Weights, message);
    }
    if reading.skip >= count {
        let message = format!(
            "clip skip: expected to skip fewer than the {count} layers, got {}",
            reading.skip
        );
        return failed(ErrorKind::Argument, message);
    }

    let hidden_layers = count - reading.skip;
    let needed = if reading.projection { count } else { hidden_layers };
    let heads = config.num_attention_heads.max(1);
    let style = LayerStyle { heads, causal: true, activation, epsilon: config.layer_norm_eps };
    let mut last = embeddings;
    let mut hidden = embeddings;
    for (index, layer) in layers.iter().enumerate() {
        if index >= needed {
            m.ignore(&format!("encoder.layers.{index}."));
            continue;
        }
        last = encoder_layer(layer, style, last);
        if index + 1 == hidden_layers {
            hidden = last;
        }
    }
    let norm = |state| {
        m.layer_norm("final_layer_norm", state, config.layer_norm_eps)
            .tap(&m.at("final_layer_norm"))
    };
    if !reading.norm && !reading.projection {
        m.ignore("final_layer_norm.");
    }
    if reading.norm {
        hidden = norm(hidden);
    }
    if !reading.projection {
        m.ignore("text_projection.");
    }
    let projected = reading.projection.then(|| m.linear("text_projection", norm(last)));
    TextStates { hidden, projected }
}

/// The hyperparameters of an encoder's layers.
#[derive(Clone, Copy)]
pub(super) struct LayerStyle {
    /// Number of attention heads.
    pub heads: usize,
    /// Whether a token attends only to those before it, as in a text.
    pub causal: bool,
    /// The activation of the MLP.
    pub activation: Function,
    /// Epsilon of the layer norms.
    pub epsilon: f64,
}

/// An encoder layer: self-attention and an MLP, each with a layer norm and a residual.
pub(super) fn encoder_layer<'g>(m: &Scope<'g>, style: LayerStyle, x: Tensor<'g>) -> Tensor<'g> {
    let LayerStyle { heads, causal, activation, epsilon } = style;
    let shape = AttentionShape { heads, causal, form: Form::Softmax };
    let n = m.layer_norm("layer_norm1", x, epsilon);
    let attention = m.at("self_attn");
    let q = attention.linear("q_proj", n);
    let (k, v) = (attention.linear("k_proj", n), attention.linear("v_proj", n));
    attention.mark();
    let h = x + attention.linear("out_proj", q.attend(k, v, shape));
    let n = m.layer_norm("layer_norm2", h, epsilon);
    (h + m.linear("mlp.fc2", m.linear("mlp.fc1", n).activation(activation))).tap(m)
}

/// Token plus position embeddings, `[ids.len(), D]` row-major: rows of the tables gathered on the
/// host.
///
/// # Errors
/// `Weights` if a table is missing or has fewer rows than the ids need.
pub fn embed(weights: &Weights, ids: &[u32]) -> Result<Vec<f32>> {
    embed_with_vectors(weights, ids, &[])
}

/// [`embed`] with vectors `[D]` in place of the token embeddings at some positions (textual
/// inversion: Gal et al., arXiv 2208.01618).
///
/// # Errors
/// As [`embed`]; `Weights` if a vector is of another width.
pub fn embed_with_vectors(
    weights: &Weights,
    ids: &[u32],
    vectors: &[(usize, &[f32])],
) -> Result<Vec<f32>> {
    let token_rows = ids.iter().map(|id| *id as usize);
    let mut sum = gather(weights, TOKENS, token_rows)?;
    let width = sum.len() / ids.len().max(1);
    for &(position, vector) in vectors {
        match sum.chunks_exact_mut(width.max(1)).nth(position) {
            Some(row) if row.len() == vector.len() => row.copy_from_slice(vector),
            _ => {
                let (got, count) = (vector.len(), ids.len());
                let message = format!(
                    "expected a vector of width {width} at one of {count} positions, got one of \
                     width {got} at {position}"
                );
                return Err(Error::new(ErrorKind::Weights, message));
            }
        }
    }
    let positions = gather(weights, POSITIONS, 0..ids.len())?;
    sum.iter_mut().zip(positions).for_each(|(sum, position)| *sum += position);
    Ok(sum)
}

fn gather(
    weights: &Weights,
    name: &str,
    rows: impl ExactSizeIterator<Item = usize>,
) -> Result<Vec<f32>> {
    let Some(&[count, width]) = weights.shape(name) else {
        let message = format!("the table {name} of two dimensions is missing");
        return Err(Error::new(ErrorKind::Weights, message));
    };
    let values = weights.values(name)?;
    let mut gathered = vec![0.0; rows.len() * width];
    for (row, out) in rows.zip(gathered.chunks_exact_mut(width)) {
        if row >= count {
            let message = format!(
                "{name} has {count} rows, and row {row} was asked for; tokenizer and text encoder do \
                 not belong together"
            );
            return Err(Error::new(ErrorKind::Weights, message));
        }
        values.read(row * width, out);
    }
    Ok(gathered)
}
