//! CLIP's text encoder (Radford et al., arXiv 2103.00020; transformers' `CLIPTextModel`).

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{AttentionShape, Scope, Tensor};
use crate::kernels::activation::Function;
use crate::kernels::attention::Form;
use crate::weights::Weights;
use serde::Deserialize;

/// The table of token embeddings, `[vocabulary, D]`.
pub const TOKENS: &str = "embeddings.token_embedding.weight";
/// The table of position embeddings, `[tokens, D]`.
pub const POSITIONS: &str = "embeddings.position_embedding.weight";

/// The keys of a `CLIPTextModel`'s `config.json` that weights do not tell.
#[derive(Clone, Debug, Deserialize)]
pub struct ClipConfig {
    /// The number of tokens, padding included.
    #[serde(default = "default_tokens")]
    pub max_position_embeddings: usize,
    num_attention_heads: usize,
    #[serde(default = "default_activation")]
    hidden_act: String,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
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

impl ClipConfig {
    fn activation(&self) -> Option<Function> {
        match self.hidden_act.as_str() {
            "quick_gelu" => Some(Function::QuickGelu),
            "gelu" => Some(Function::Gelu),
            _ => None,
        }
    }
}

/// The encoder: embeddings `[B, T, D]` of tokens with their positions to the last hidden state
/// after the final layer norm, `[B, T, D]`. [`embed`] makes the input on the host, so that the
/// token table need not be on the GPU.
pub fn text_encoder<'g>(m: &Scope<'g>, config: &ClipConfig, embeddings: Tensor<'g>) -> Tensor<'g> {
    m.ignore("embeddings.");
    m.ignore("text_projection.");
    let Some(activation) = config.activation() else {
        let message = format!(
            "text_encoder/config.json: hidden_act: expected \"quick_gelu\" or \"gelu\", got {:?}",
            config.hidden_act
        );
        m.fail(ErrorKind::Unsupported, message);
        return embeddings;
    };
    let heads = config.num_attention_heads.max(1);
    let shape = AttentionShape { heads, causal: true, form: Form::Softmax };
    let epsilon = config.layer_norm_eps;
    let mut h = embeddings;
    for m in m.each("encoder.layers") {
        let n = m.layer_norm("layer_norm1", h, epsilon);
        let attention = m.at("self_attn");
        let q = attention.linear("q_proj", n);
        let (k, v) = (attention.linear("k_proj", n), attention.linear("v_proj", n));
        attention.mark();
        h = h + attention.linear("out_proj", q.attend(k, v, shape));
        let n = m.layer_norm("layer_norm2", h, epsilon);
        h = (h + m.linear("mlp.fc2", m.linear("mlp.fc1", n).activation(activation))).tap(&m);
    }
    m.layer_norm("final_layer_norm", h, epsilon).tap(&m.at("final_layer_norm"))
}

/// Token plus position embeddings, `[ids.len(), D]` row-major: rows gathered on the host.
///
/// # Errors
/// `Weights` if a table is missing or has fewer rows than the ids need.
pub fn embed(weights: &Weights, ids: &[u32]) -> Result<Vec<f32>> {
    let token_rows = ids.iter().map(|id| *id as usize);
    let mut sum = gather(weights, TOKENS, token_rows)?;
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
        let message = format!("text_encoder: the table {name} of two dimensions is missing");
        return Err(Error::new(ErrorKind::Weights, message));
    };
    let values = weights.values(name)?;
    let mut gathered = vec![0.0; rows.len() * width];
    for (row, out) in rows.zip(gathered.chunks_exact_mut(width)) {
        if row >= count {
            let message = format!(
                "text_encoder: {name} has {count} rows, and row {row} was asked for; tokenizer and text \
                 encoder do not belong together"
            );
            return Err(Error::new(ErrorKind::Weights, message));
        }
        values.read(row * width, out);
    }
    Ok(gathered)
}
