//! [`UnetConfig`]: a `UNet2DConditionModel`'s `config.json`.

use super::{Heads, Outline};
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::activation::Function;
use crate::kernels::attention::Form;
use crate::models::config::{Supported, require_supported};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The keys of a `UNet2DConditionModel`'s `config.json` that weight shapes do not show.
#[derive(Clone, Debug, Deserialize)]
pub struct UnetConfig {
    /// The default height and width of the latents.
    #[serde(default)]
    pub sample_size: Option<usize>,
    /// Channels of the input: latents, and for inpainting models also mask and masked picture.
    #[serde(default = "four")]
    pub in_channels: usize,
    /// In spite of its name, the number of attention heads: one for all levels, or one per level.
    #[serde(default = "eight_heads")]
    attention_head_dim: OneOrMany,
    /// The number of attention heads in configurations that use the proper key.
    #[serde(default)]
    num_attention_heads: Option<OneOrMany>,
    #[serde(default = "thirty_two")]
    norm_num_groups: usize,
    #[serde(default = "default_epsilon")]
    norm_eps: f64,
    #[serde(default = "yes")]
    flip_sin_to_cos: bool,
    #[serde(default)]
    freq_shift: f32,
    /// Channels of the latents.
    #[serde(default = "four")]
    pub out_channels: usize,
    /// `text_time`: SDXL's pooled text embedding and time ids.
    #[serde(default)]
    addition_embed_type: Option<String>,
    #[serde(default)]
    addition_time_embed_dim: Option<usize>,
    /// Width of the guidance scale's embedding in distilled models (LCM).
    #[serde(default)]
    pub time_cond_proj_dim: Option<usize>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Keys that change the computation without a trace in the weights, and their supported values.
const SUPPORTED: [Supported; 18] = [
    ("act_fn", &["\"silu\"", "\"swish\""]),
    ("attention_type", &["\"default\""]),
    ("center_input_sample", &["false"]),
    ("class_embed_type", &[]),
    ("conv_in_kernel", &["3"]),
    ("conv_out_kernel", &["3"]),
    ("cross_attention_norm", &[]),
    ("downsample_padding", &["1"]),
    ("dual_cross_attention", &["false"]),
    ("encoder_hid_dim_type", &[]),
    ("mid_block_only_cross_attention", &["false"]),
    ("mid_block_scale_factor", &["1", "1.0"]),
    ("only_cross_attention", &["false"]),
    ("resnet_out_scale_factor", &["1", "1.0"]),
    ("resnet_skip_time_act", &["false"]),
    ("resnet_time_scale_shift", &["\"default\""]),
    ("time_embedding_act_fn", &[]),
    ("time_embedding_type", &["\"positional\""]),
];

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(usize),
    Many(Vec<usize>),
}

fn four() -> usize {
    4
}
fn eight_heads() -> OneOrMany {
    OneOrMany::One(8)
}
fn thirty_two() -> usize {
    32
}
fn default_epsilon() -> f64 {
    1e-5
}
fn yes() -> bool {
    true
}
impl UnetConfig {
    /// Whether the UNet reads an aesthetic score in place of the target size, as XL's refiner does:
    /// beside pooled text as wide as its context there is room for five numbers, not for six.
    pub fn reads_score(&self) -> bool {
        let number = |key: &str| self.other.get(key)?.as_u64()?.try_into().ok();
        let inputs: Option<usize> = number("projection_class_embeddings_input_dim");
        let numbers = self.addition_time_embed_dim.and_then(|dim| dim.checked_mul(5));
        let context = number("cross_attention_dim");
        inputs.is_some() && inputs == context.zip(numbers).and_then(|(a, b)| a.checked_add(b))
    }

    /// The UNet's hyperparameters by this configuration.
    ///
    /// # Errors
    /// `Unsupported` naming key and value of a variant that croquis does not have.
    pub fn outline(&self) -> Result<Outline> {
        let file = "config.json";
        require_supported(file, &self.other, &SUPPORTED)?;
        // Latents alone, or latents with a mask and the masked picture's latents.
        let inpainting = self.out_channels.saturating_mul(2).saturating_add(1);
        if self.in_channels != self.out_channels && self.in_channels != inpainting {
            let message = format!(
                "{file}: in_channels: expected out_channels ({}) or, for inpainting, \
                 {inpainting}, got {}",
                self.out_channels, self.in_channels
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let size_embedding =
            match (self.addition_embed_type.as_deref(), self.addition_time_embed_dim) {
                (None, _) => None,
                (Some("text_time"), Some(dim)) if dim > 1 => Some(dim),
                (Some(other), dim) => {
                    let message = format!(
                        "{file}: addition_embed_type: expected none or \"text_time\" with an \
                     addition_time_embed_dim, got {other:?} with {dim:?}"
                    );
                    return Err(Error::new(ErrorKind::Unsupported, message));
                }
            };
        let heads = match self.num_attention_heads.as_ref().unwrap_or(&self.attention_head_dim) {
            OneOrMany::One(count) => vec![*count],
            OneOrMany::Many(counts) => counts.clone(),
        };
        if heads.is_empty() || heads.contains(&0) || self.norm_num_groups == 0 {
            return Err(Error::new(
                ErrorKind::Config,
                "config.json: attention_head_dim and norm_num_groups must be at least 1",
            ));
        }
        Ok(Outline {
            heads: Heads::Count(heads),
            groups: self.norm_num_groups,
            norm_epsilon: self.norm_eps,
            transformer_norm_epsilon: 1e-6,
            layer_norm_epsilon: 1e-5,
            form: Form::Softmax,
            gate: Function::Gelu,
            flip_sin_to_cos: self.flip_sin_to_cos,
            frequency_shift: self.freq_shift,
            size_embedding,
        })
    }
}
