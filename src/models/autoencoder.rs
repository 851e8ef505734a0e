//! The variational autoencoder: encodes pictures as latents and decodes latents (diffusers'
//! `AutoencoderKL`; Kingma & Welling, arXiv 1312.6114, as in Rombach et al., arXiv 2112.10752).

use super::blocks::{Context, attention, resnet, upsample};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{AttentionShape, Scope, Tensor};
use crate::kernels::attention::Form;
use serde::Deserialize;

/// Epsilon of every group norm of the autoencoder.
const EPSILON: f64 = 1e-6;

/// The keys of an `AutoencoderKL`'s `config.json` that weight shapes do not show.
#[derive(Clone, Debug, Deserialize)]
pub struct AutoencoderConfig {
    /// Factor of the latents: encoded latents are multiplied by it for the UNet and divided by it
    /// before decoding.
    #[serde(default = "default_scaling")]
    pub scaling_factor: f32,
    /// Channels of the latents.
    #[serde(default = "default_latents")]
    pub latent_channels: usize,
    /// Channels of the levels; each level but the last halves height and width.
    pub block_out_channels: Vec<usize>,
    /// Whether SDXL's autoencoder must not use 16-bit storage, in which the activations of the
    /// original weights overflow; `false` for repaired ones such as `sdxl-vae-fp16-fix`.
    #[serde(default = "default_upcast")]
    pub force_upcast: bool,
    #[serde(default = "default_groups")]
    norm_num_groups: usize,
    #[serde(default)]
    shift_factor: Option<f32>,
    #[serde(default)]
    latents_mean: Option<Vec<f32>>,
    #[serde(default)]
    latents_std: Option<Vec<f32>>,
}

fn default_scaling() -> f32 {
    0.18215
}
fn default_latents() -> usize {
    4
}
fn default_groups() -> usize {
    32
}
fn default_upcast() -> bool {
    true
}

impl AutoencoderConfig {
    /// Checks the values that encoder and decoder depend on; `file` is the configuration's name for
    /// messages.
    ///
    /// # Errors
    /// `Config` naming the key.
    pub fn check(&self, file: &str) -> Result<()> {
        if self.block_out_channels.is_empty() || self.block_out_channels.len() > 8 {
            return Err(Error::new(
                ErrorKind::Config,
                format!("{file}: block_out_channels: expected 1 to 8 levels"),
            ));
        }
        if self.norm_num_groups == 0
            || !(self.scaling_factor.is_finite() && self.scaling_factor != 0.0)
        {
            return Err(Error::new(
                ErrorKind::Config,
                format!("{file}: norm_num_groups and scaling_factor must not be 0"),
            ));
        }
        let channels = self.latent_channels;
        for (key, values) in
            [("latents_mean", &self.latents_mean), ("latents_std", &self.latents_std)]
        {
            let Some(values) = values else { continue };
            let usable = |v: &f32| v.is_finite() && (*v != 0.0 || key == "latents_mean");
            if values.len() != channels || !values.iter().all(usable) {
                let message = format!(
                    "{file}: {key}: expected {channels} finite numbers (deviations not 0), one for \
                     each of the latent_channels, got {values:?}"
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
        }
        Ok(())
    }

    /// Pixels along one side of a latent: 8 for Stable Diffusion.
    pub fn pixels_per_latent(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    /// Converts latents `[…, L]` of the UNet to the input of [`decode`]:
    /// z·`latents_std`/`scaling_factor` + `latents_mean` + `shift_factor`. Without these keys
    /// `latents_std` is 1, `latents_mean` and `shift_factor` are 0.
    pub fn unscale(&self, latents: &mut [f32]) {
        let shift = self.shift_factor.unwrap_or(0.0);
        for pixel in latents.chunks_exact_mut(self.latent_channels.max(1)) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let [mean, deviation] = self.distribution(channel);
                *value = *value * deviation / self.scaling_factor + (mean + shift);
            }
        }
    }

    /// Converts latents `[…, L]` sampled from the output of [`encode`] to those of the UNet: the
    /// inverse of [`unscale`](AutoencoderConfig::unscale).
    pub fn scale(&self, latents: &mut [f32]) {
        let shift = self.shift_factor.unwrap_or(0.0);
        for pixel in latents.chunks_exact_mut(self.latent_channels.max(1)) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let [mean, deviation] = self.distribution(channel);
                *value = (*value - (mean + shift)) * self.scaling_factor / deviation;
            }
        }
    }

    /// Mean and standard deviation of a latent channel; 0 and 1 without a configuration.
    fn distribution(&self, channel: usize) -> [f32; 2] {
        let value = |values: &Option<Vec<f32>>, otherwise| {
            values.as_ref().and_then(|values| values.get(channel).copied()).unwrap_or(otherwise)
        };
        [value(&self.latents_mean, 0.0), value(&self.latents_std, 1.0)]
    }
}

/// The decoder: [unscaled](AutoencoderConfig::unscale) latents `[N, h, w, L]` to a picture
/// `[N, H, W, 3]` in about [-1, 1].
pub fn decode<'g>(m: &Scope<'g>, config: &AutoencoderConfig, latents: Tensor<'g>) -> Tensor<'g> {
    m.ignore("encoder.");
    m.ignore("quant_conv.");
    let groups = config.norm_num_groups;
    let z = if m.has("post_quant_conv") { m.conv("post_quant_conv", latents) } else { latents };
    let m = m.at("decoder");
    let mut x = middle(&m, m.conv("conv_in", z).tap(&m.at("conv_in")), groups);
    for m in m.each("up_blocks") {
        for block in m.each("resnets") {
            x = resnet(&block, x, None, groups, EPSILON);
        }
        for block in m.each("upsamplers") {
            x = upsample(&block, x, None);
        }
    }
    let x = m.group_norm("conv_norm_out", x, groups, EPSILON).silu();
    m.conv("conv_out", x).tap(&m.at("conv_out"))
}

/// The encoder: a picture `[N, H, W, 3]` in [-1, 1] to the mean and log-variance of its latents,
/// `[N, h, w, 2·L]`, not yet [scaled](AutoencoderConfig::scale).
pub fn encode<'g>(m: &Scope<'g>, config: &AutoencoderConfig, image: Tensor<'g>) -> Tensor<'g> {
    m.ignore("decoder.");
    m.ignore("post_quant_conv.");
    let groups = config.norm_num_groups;
    let root = m;
    let m = m.at("encoder");
    let mut x = m.conv("conv_in", image).tap(&m.at("conv_in"));
    for m in m.each("down_blocks") {
        for block in m.each("resnets") {
            x = resnet(&block, x, None, groups, EPSILON);
        }
        for block in m.each("downsamplers") {
            // Padding at the bottom and on the right only, as diffusers' `Downsample2D` of the
            // encoder.
            x = block.conv_with("conv", x, 2, [0, 1, 0, 1]).tap(&block);
        }
    }
    let x = m.group_norm("conv_norm_out", middle(&m, x, groups), groups, EPSILON).silu();
    let moments = m.conv("conv_out", x).tap(&m.at("conv_out"));
    if root.has("quant_conv") {
        root.conv("quant_conv", moments).tap(&root.at("quant_conv"))
    } else {
        moments
    }
}

/// The mid block: two ResBlocks with single-head self-attention between them.
fn middle<'g>(m: &Scope<'g>, mut x: Tensor<'g>, groups: usize) -> Tensor<'g> {
    let m = m.at("mid_block");
    let attentions = m.each("attentions");
    for (index, block) in m.each("resnets").iter().enumerate() {
        if let Some(attention) = index.checked_sub(1).and_then(|index| attentions.get(index)) {
            x = self_attention(attention, x, groups);
        }
        x = resnet(block, x, None, groups, EPSILON);
    }
    x
}

fn self_attention<'g>(m: &Scope<'g>, x: Tensor<'g>, groups: usize) -> Tensor<'g> {
    let shape = AttentionShape { heads: 1, causal: false, form: Form::Softmax };
    let h = m.group_norm("group_norm", x, groups, EPSILON).tokens();
    let h = if m.has("to_q") {
        attention(m, h, Context { text: h, image: None }, shape)
    } else {
        // Layer names of diffusers before 0.18.
        let (q, k, v) = (m.linear("query", h), m.linear("key", h), m.linear("value", h));
        m.mark();
        m.linear("proj_attn", q.attend(k, v, shape))
    };
    (h.view(x.shape()) + x).tap(m)
}
