//! The conditioning of a UNet: timestep, text embeddings, and the additional inputs of some models.

use super::Outline;
use crate::error::ErrorKind;
use crate::graph::{Scope, Tensor};
use crate::kernels::timestep_embedding::TimestepEmbedding;
use crate::models::blocks::{Context, Time};
use crate::models::image_prompt::ImageTokens;

/// The conditioning inputs of a UNet.
#[derive(Clone, Copy)]
pub struct Conditioning<'g> {
    /// F32 timesteps of all sampling steps, `[S]`; with `added` repeated for every item, `[B·S]`.
    pub timesteps: Tensor<'g>,
    /// The scalars of the current step; the first is its index among the timesteps.
    pub step: Tensor<'g>,
    /// Text embeddings `[B, T, D]`.
    pub context: Tensor<'g>,
    /// Tokens of a picture that prompts beside the text.
    pub image: Option<ImageTokens<'g>>,
    /// SDXL's additional conditioning.
    pub added: Option<AddedConditioning<'g>>,
    /// Embedding `[1, G]` of the guidance scale, an input of networks distilled from guided
    /// sampling (Meng et al., arXiv 2210.03142; Luo et al., arXiv 2310.04378).
    pub guidance: Option<Tensor<'g>>,
}

/// SDXL's additional conditioning (diffusers' `added_cond_kwargs`): pooled text and the
/// micro-conditioning on sizes (Podell et al., arXiv 2307.01952, section 2.2).
#[derive(Clone, Copy)]
pub struct AddedConditioning<'g> {
    /// Pooled text embeddings `[B, P]`.
    pub text_embeds: Tensor<'g>,
    /// Time ids, f32 `[B·6]`: for every item the original height and width, top and left of the
    /// crop, and target height and width, in pixels.
    pub time_ids: Tensor<'g>,
}

impl<'g> Conditioning<'g> {
    /// What cross-attention attends to.
    pub(in crate::models) fn attended(&self) -> Context<'g> {
        Context { text: self.context, image: self.image }
    }

    /// The input of the ResBlocks: SiLU of the time embeddings of all steps, `[S, T]`, or
    /// `[B, S, T]` with `added`, which differs between items.
    pub(in crate::models) fn time(&self, m: &Scope<'g>, outline: &Outline) -> Time<'g> {
        let mut embeddings = self.time_embedding(m, outline);
        match (self.added, outline.size_embedding) {
            (Some(added), Some(dim)) => {
                let embedded = added.embedding(m, outline, dim);
                let items = embedded.shape().batch();
                let (rows, channels) = (embeddings.shape().rows(), embeddings.channels());
                embeddings = embeddings.view([items, rows / items.max(1), channels]) + embedded;
            }
            (None, None) => {}
            (given, wanted) => {
                let words = |yes| if yes { "text_embeds and time_ids" } else { "none" };
                let (expected, got) = (words(wanted.is_some()), words(given.is_some()));
                m.fail(
                    ErrorKind::Argument,
                    format!("conditioning: expected {expected}, got {got}"),
                );
            }
        }
        Time { embeddings: embeddings.silu(), step: self.step }
    }

    /// The time embedding: sinusoids of the timesteps through a two-layer MLP, `[S, T]`.
    fn time_embedding(&self, m: &Scope<'g>, outline: &Outline) -> Tensor<'g> {
        let m = m.at("time_embedding");
        let dim = m.weight_shape("linear_1.weight").and_then(|shape| shape.get(1).copied());
        let mut h = sinusoids(&m, outline, dim.unwrap_or(4), self.timesteps);
        if let Some(guidance) = self.guidance {
            h = h + m.linear("cond_proj", guidance);
        }
        m.linear("linear_2", m.linear("linear_1", h).silu()).tap(&m)
    }
}

impl<'g> AddedConditioning<'g> {
    /// The additional embedding: pooled text and the sinusoids of the time ids through a two-layer
    /// MLP, `[B, T]`.
    fn embedding(&self, m: &Scope<'g>, outline: &Outline, dim: usize) -> Tensor<'g> {
        let m = m.at("add_embedding");
        let ids = sinusoids(&m, outline, dim, self.time_ids);
        let items = self.text_embeds.shape().batch();
        let ids = ids.view([items, ids.shape().len() / items]);
        m.mark();
        let h = self.text_embeds.concat(ids);
        m.linear("linear_2", m.linear("linear_1", h).silu()).tap(&m)
    }
}

fn sinusoids<'g>(m: &Scope<'g>, outline: &Outline, dim: usize, of: Tensor<'g>) -> Tensor<'g> {
    let Outline { flip_sin_to_cos, frequency_shift, .. } = *outline;
    let embedding = TimestepEmbedding { dim, flip_sin_to_cos, frequency_shift };
    m.mark();
    m.builder().apply(embedding, &[Some(of)])
}

/// The embedding of the guidance scale w as diffusers computes it for latent consistency models:
/// `width` sinusoids of 1000·(w − 1). In f32 as there, since the angles are large.
pub fn guidance_embedding(scale: f32, width: usize) -> Vec<f32> {
    let half = width / 2;
    let position = (scale - 1.0) * 1000.0;
    let ratio = -(10_000f64.ln() / (half.max(2) - 1) as f64) as f32;
    let angle = |i: usize| position * (ratio * i as f32).exp();
    let sines = (0..half).map(|i| angle(i).sin());
    let mut embedding: Vec<f32> = sines.chain((0..half).map(|i| angle(i).cos())).collect();
    embedding.resize(width, 0.0);
    embedding
}
