//! Blocks shared by the UNets and the autoencoder: ResBlock, resampling, transformer, attention.

use super::image_prompt::ImageTokens;
use crate::graph::{AttentionShape, Scope, Tensor};
use crate::kernels::activation::Function;
use crate::kernels::attention::Form;
use crate::kernels::scale::Scale;

/// The time embeddings of all sampling steps, and the selection of the current one; input of the
/// ResBlocks.
#[derive(Clone, Copy)]
pub(super) struct Time<'g> {
    /// `[S, T]`: SiLU of the embeddings of all S sampling steps.
    pub embeddings: Tensor<'g>,
    /// The input that selects the current step's row.
    pub step: Tensor<'g>,
}

/// The ResBlock (He et al., arXiv 1512.03385, as in Ho et al., arXiv 2006.11239):
/// x + conv2(silu(norm2(conv1(silu(norm1(x))) + proj(silu(temb))))).
pub(super) fn resnet<'g>(
    m: &Scope<'g>,
    x: Tensor<'g>,
    time: Option<Time<'g>>,
    groups: usize,
    epsilon: f64,
) -> Tensor<'g> {
    let mut h = conv3x3(m, "conv1", m.group_norm("norm1", x, groups, epsilon).silu());
    if let Some(time) = time {
        h = h + m.linear("time_emb_proj", time.embeddings).row(time.step);
    }
    h = conv3x3(m, "conv2", m.group_norm("norm2", h, groups, epsilon).silu());
    let shortcut = if m.has("conv_shortcut") { m.conv("conv_shortcut", x) } else { x };
    (shortcut + h).tap(m)
}

/// A 3×3 convolution, plain or separable (depthwise, then pointwise) according to the weights.
pub(super) fn conv3x3<'g>(m: &Scope<'g>, name: &str, x: Tensor<'g>) -> Tensor<'g> {
    let conv = m.at(name);
    if conv.has("depthwise") {
        conv.linear("pointwise", conv.depthwise("depthwise", x, 1))
    } else {
        m.conv(name, x)
    }
}

/// Downsampling by two: a 3×3 convolution of stride 2 with padding 1, plain or separable.
pub(super) fn downsample<'g>(m: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let conv = m.at("conv");
    if conv.has("depthwise") {
        conv.linear("pointwise", conv.depthwise("depthwise", x, 2)).tap(m)
    } else {
        m.conv_with("conv", x, 2, [1; 4]).tap(m)
    }
}

/// Upsampling by two: nearest neighbour, then a 3×3 convolution. With `like`, the result has its
/// height and width, which may be odd.
pub(super) fn upsample<'g>(m: &Scope<'g>, x: Tensor<'g>, like: Option<Tensor<'g>>) -> Tensor<'g> {
    conv3x3(m, "conv", x.upsample(like)).tap(m)
}

/// Settings of the transformer blocks that differ between model families.
#[derive(Clone, Copy)]
pub(super) struct TransformerStyle {
    /// Number of attention heads.
    pub heads: usize,
    /// The attention's form: softmax or ReLU.
    pub form: Form,
    /// The activation of the feed-forward's gate: GELU (GEGLU) or SiLU (SwiGLU).
    pub gate: Function,
    /// Groups of the group norm at the transformer's entry.
    pub groups: usize,
    /// Epsilon of that group norm.
    pub norm_epsilon: f64,
    /// Epsilon of the layer norms.
    pub layer_norm_epsilon: f64,
}

/// What cross-attention attends to.
#[derive(Clone, Copy)]
pub(super) struct Context<'g> {
    /// Text embeddings `[B, T, D]`.
    pub text: Tensor<'g>,
    /// Tokens of a picture (IP-Adapter).
    pub image: Option<ImageTokens<'g>>,
}

/// The spatial transformer (diffusers' `Transformer2DModel`; Rombach et al., arXiv 2112.10752),
/// with pixels as tokens.
pub(super) fn transformer<'g>(
    m: &Scope<'g>,
    x: Tensor<'g>,
    context: Context<'g>,
    style: TransformerStyle,
) -> Tensor<'g> {
    let h = m.group_norm("norm", x, style.groups, style.norm_epsilon);
    let mut h = m.linear("proj_in", h.tokens());
    for block in m.each("transformer_blocks") {
        h = transformer_block(&block, h, context, style);
    }
    (m.linear("proj_out", h).view(x.shape()) + x).tap(m)
}

/// A transformer block: self-attention, cross-attention and a gated feed-forward, each with a
/// residual; an attention without weights is left out.
fn transformer_block<'g>(
    m: &Scope<'g>,
    mut h: Tensor<'g>,
    context: Context<'g>,
    style: TransformerStyle,
) -> Tensor<'g> {
    let shape = AttentionShape { heads: style.heads, causal: false, form: style.form };
    let epsilon = style.layer_norm_epsilon;
    if m.has("attn1") {
        let n = m.layer_norm("norm1", h, epsilon);
        h = h + attention(&m.at("attn1"), n, Context { text: n, image: None }, shape);
    }
    if m.has("attn2") {
        h = h + attention(&m.at("attn2"), m.layer_norm("norm2", h, epsilon), context, shape);
    }
    let n = m.layer_norm("norm3", h, epsilon);
    (h + m.linear("ff.net.2", m.linear("ff.net.0.proj", n).gate(style.gate))).tap(m)
}

/// Multi-head attention of `x` to a text (Vaswani et al., arXiv 1706.03762); with `to_kv`, keys and
/// values are one projection (MobileDiffusion). The attention to a picture's tokens is added, with
/// keys and values of its own, times their scale (Ye et al., arXiv 2308.06721, equation 5).
pub(super) fn attention<'g>(
    m: &Scope<'g>,
    x: Tensor<'g>,
    Context { text: context, image }: Context<'g>,
    shape: AttentionShape,
) -> Tensor<'g> {
    let q = m.linear("to_q", x);
    let (k, v) = if m.has("to_kv") {
        let shared = m.linear("to_kv", context);
        (shared, shared)
    } else {
        (m.linear("to_k", context), m.linear("to_v", context))
    };
    m.mark();
    let mut h = q.attend(k, v, shape);
    match image {
        // Attention is linear in the values: to scale these few is to scale the result.
        Some(ImageTokens { tokens, scale }) => {
            let (k, v) = (m.linear("to_k_ip", tokens), m.linear("to_v_ip", tokens));
            m.mark();
            let v = m.builder().apply(Scale { index: 0 }, &[Some(v), Some(scale)]);
            h = h + q.attend(k, v, shape);
        }
        None => ["to_k_ip.", "to_v_ip."].into_iter().for_each(|name| m.ignore(name)),
    }
    m.linear("to_out.0", h)
}
