//! CLIP's image encoder (Radford et al., arXiv 2103.00020; transformers'
//! `CLIPVisionModelWithProjection`), a vision transformer (Dosovitskiy et al., arXiv 2010.11929).

use super::clip::{LayerStyle, activation, encoder_layer};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Scope, Tensor};
use serde::Deserialize;

/// The keys of a `CLIPVisionModelWithProjection`'s `config.json` that weight shapes do not show.
#[derive(Clone, Debug, Deserialize)]
pub struct ClipVisionConfig {
    /// Height and width of the pictures that it reads.
    #[serde(default = "default_image_size")]
    pub image_size: usize,
    /// Height and width of a patch, which becomes a token.
    #[serde(default = "default_patch_size")]
    pub patch_size: usize,
    #[serde(default = "default_heads")]
    num_attention_heads: usize,
    #[serde(default = "default_activation")]
    hidden_act: String,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
}

fn default_image_size() -> usize {
    224
}
fn default_patch_size() -> usize {
    32
}
fn default_heads() -> usize {
    12
}
fn default_activation() -> String {
    "quick_gelu".into()
}
fn default_epsilon() -> f64 {
    1e-5
}

/// The largest side of a picture that is accepted.
const MAX_SIDE: usize = 4096;

impl ClipVisionConfig {
    /// Checks the configuration; `file` names it in messages.
    ///
    /// # Errors
    /// `Config` naming the key, what was expected and what was found.
    pub fn check(&self, file: &str) -> Result<()> {
        let fail = |key: &str, expected: &str, got: &dyn std::fmt::Display| {
            let message = format!("{file}: {key}: expected {expected}, got {got}");
            Err(Error::new(ErrorKind::Config, message))
        };
        if !(1..=MAX_SIDE).contains(&self.image_size) {
            return fail("image_size", &format!("1 to {MAX_SIDE}"), &self.image_size);
        }
        if !(1..=self.image_size).contains(&self.patch_size) {
            let expected = format!("1 to image_size ({})", self.image_size);
            return fail("patch_size", &expected, &self.patch_size);
        }
        if self.num_attention_heads == 0 {
            return fail("num_attention_heads", "at least 1", &self.num_attention_heads);
        }
        if activation(&self.hidden_act).is_none() {
            return fail("hidden_act", "\"quick_gelu\" or \"gelu\"", &self.hidden_act);
        }
        Ok(())
    }

    /// The number of tokens of a picture: one for the class, one for each patch.
    pub fn tokens(&self) -> usize {
        1 + (self.image_size / self.patch_size).pow(2)
    }
}

/// The result wanted of an image encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VisionOutput {
    /// All tokens projected, `[B, T, P]`; the first is the picture's embedding (`image_embeds`).
    Projected,
    /// The hidden state of the last layer but one, `[B, T, D]` (`hidden_states[-2]`).
    Hidden,
}

/// The inputs of an image encoder.
#[derive(Clone, Copy)]
pub struct VisionInputs<'g> {
    /// Normalised pictures `[B, S, S, 3]`.
    pub pixels: Tensor<'g>,
    /// The embedding of the class token for every picture, `[B, D]`.
    pub class: Tensor<'g>,
    /// The embeddings of all positions in one row, `[1, T·D]`.
    pub positions: Tensor<'g>,
}

/// The image encoder up to the layer that `output` asks for; weights of further layers are not
/// used.
pub fn image_encoder<'g>(
    m: &Scope<'g>,
    config: &ClipVisionConfig,
    inputs: VisionInputs<'g>,
    output: VisionOutput,
) -> Tensor<'g> {
    let VisionInputs { pixels, class, positions } = inputs;
    let Some(activation) = activation(&config.hidden_act) else {
        m.fail(ErrorKind::Unsupported, format!("hidden_act: got {:?}", config.hidden_act));
        return pixels;
    };
    for table in ["class_embedding", "position_embedding.", "position_ids"] {
        m.ignore(&format!("embeddings.{table}"));
    }
    let patch = m.at("embeddings.patch_embedding");
    let patches = patch.conv_with("", pixels, config.patch_size, [0; 4]).tap(&patch);
    let (items, width) = (patches.shape().batch(), patches.channels());
    let row = patches.shape().len() / items.max(1);
    let x = class.concat(patches.view([items, row])) + positions;
    let x = x.view([items, config.tokens(), width]);
    let pre = m.at("pre_layrnorm"); // sic
    let mut x = pre.layer_norm("", x, config.layer_norm_eps).tap(&pre);

    let heads = config.num_attention_heads;
    let style = LayerStyle { heads, causal: false, activation, epsilon: config.layer_norm_eps };
    let layers = m.each("encoder.layers");
    let unused = usize::from(output == VisionOutput::Hidden);
    let used = layers.len().saturating_sub(unused);
    for layer in &layers[..used] {
        x = encoder_layer(layer, style, x);
    }
    match output {
        VisionOutput::Projected => {
            let x = m.layer_norm("post_layernorm", x, config.layer_norm_eps);
            m.linear("visual_projection", x)
        }
        VisionOutput::Hidden => {
            m.ignore(&format!("encoder.layers.{used}."));
            m.ignore("post_layernorm.");
            m.ignore("visual_projection.");
            x
        }
    }
}
