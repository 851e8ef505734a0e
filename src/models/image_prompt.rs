//! The projections of IP-Adapter (Ye et al., arXiv 2308.06721): tokens for a UNet's cross-attention
//! from what an image encoder makes of a picture.

use crate::graph::{AttentionShape, Scope, Tensor};
use crate::kernels::activation::Function;
use crate::kernels::attention::Form;

/// The name below which a projection's weights are among those of the network that it prompts.
pub const PROJECTION: &str = "image_proj";

/// The name of the query tokens among a resampler's weights, `[1, Q, D]`.
pub const LATENTS: &str = "image_proj.latents";

/// The size of an attention head of a resampler.
const HEAD_SIZE: usize = 64;

/// Epsilon of the layer norms.
const EPSILON: f64 = 1e-5;

/// The kind of a projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProjectionKind {
    /// A linear layer from the picture's embedding to all tokens (diffusers' `ImageProjection`).
    Linear,
    /// Query tokens that attend to the hidden state of the image encoder's last layer but one
    /// (IP-Adapter Plus; diffusers' `IPAdapterPlusImageProjection`), a perceiver resampler
    /// (Alayrac et al., arXiv 2204.14198).
    Resampler,
}

/// A picture as a second prompt: the projection's kind and the shape of what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImagePrompt {
    /// The kind.
    pub kind: ProjectionKind,
    /// Tokens that the image encoder makes of a picture, 1 for [`ProjectionKind::Linear`].
    pub tokens: usize,
    /// Width of such a token.
    pub width: usize,
}

/// Tokens of a picture for the cross-attention, beside those of the text.
#[derive(Clone, Copy)]
pub struct ImageTokens<'g> {
    /// The tokens `[B, Q, D]`.
    pub tokens: Tensor<'g>,
    /// The factor of the attention to them, F32 `[1]`.
    pub scale: Tensor<'g>,
}

/// The tokens `[B, Q, D]` by a linear layer from embeddings `[B, 1, P]`.
pub fn linear_projection<'g>(m: &Scope<'g>, embeddings: Tensor<'g>) -> Tensor<'g> {
    let projected = m.linear("proj", embeddings);
    let width = m.weight_shape("norm.weight").and_then(|shape| shape.first().copied());
    let width = width.unwrap_or(projected.channels()).max(1);
    let tokens = projected.view([projected.shape().batch(), projected.channels() / width, width]);
    m.layer_norm("norm", tokens, EPSILON).tap(m)
}

/// The tokens `[B, Q, D]` by attention of `latents` `[B, Q, I]` to hidden states `[B, T, W]`.
pub fn resampler<'g>(m: &Scope<'g>, hidden: Tensor<'g>, mut latents: Tensor<'g>) -> Tensor<'g> {
    m.ignore("latents");
    let hidden = m.linear("proj_in", hidden);
    for layer in m.each("layers") {
        latents = latents + perceive(&layer.at("0"), hidden, latents);
        let m = layer.at("1");
        let h = m.linear("1", m.layer_norm("0", latents, EPSILON)).activation(Function::Gelu);
        latents = latents + m.linear("3", h);
    }
    m.layer_norm("norm_out", m.linear("proj_out", latents), EPSILON).tap(m)
}

/// Attention of the latents to the hidden states and to themselves.
fn perceive<'g>(m: &Scope<'g>, hidden: Tensor<'g>, latents: Tensor<'g>) -> Tensor<'g> {
    let hidden = m.layer_norm("norm1", hidden, EPSILON);
    let latents = m.layer_norm("norm2", latents, EPSILON);
    let q = m.linear("to_q", latents);
    let both = |name: &str| append(m.linear(name, hidden), m.linear(name, latents));
    let (k, v) = (both("to_k"), both("to_v"));
    let heads = (q.channels() / HEAD_SIZE).max(1);
    m.mark();
    m.linear("to_out", q.attend(k, v, AttentionShape { heads, causal: false, form: Form::Softmax }))
}

/// The tokens `[B, T, C]` followed by `[B, U, C]`: `[B, T + U, C]`.
fn append<'g>(first: Tensor<'g>, second: Tensor<'g>) -> Tensor<'g> {
    let row = |x: Tensor<'g>| x.view([x.shape().batch(), x.shape().len() / x.shape().batch()]);
    let (items, width) = (first.shape().batch(), first.channels());
    let rows = row(first).concat(row(second));
    rows.view([items, rows.channels() / width, width])
}
