//! Facts that the Stable Diffusion families share: diffusers' UNet class and CLIP's tokenizer.

use super::TokenizerPlan;
use super::evidence::Evidence;
use crate::error::{Error, Result};
use crate::models::network::Network;
use crate::models::unet::UnetConfig;
use crate::models::{parse_config, unet_network::UnetNetwork};
use crate::tokenizer::Tokenizer;

/// The folder of the UNet in diffusers.
pub(super) const FOLDER: &str = "unet";

/// The class of the UNet in diffusers.
pub(super) const CLASS_NAME: &str = "UNet2DConditionModel";

/// The start of the names of CLIP's weights, which transformers writes before version 5.
pub(super) const CLIP_PREFIX: &str = "text_model.";

/// CLIP's tokenizer for the first encoder.
pub(super) const fn tokenizer(padding: &'static str) -> TokenizerPlan {
    TokenizerPlan { folder: "tokenizer", fallback: None, padding, open: Tokenizer::new }
}

/// The UNet of a `config.json`.
pub(super) fn network(file: &str, config: &str) -> Result<Box<dyn Network>> {
    let config: UnetConfig = parse_config(file, config)?;
    let network = UnetNetwork::new(&config).map_err(|error: Error| error.context("unet"))?;
    Ok(Box::new(network))
}

/// Whether projections around the transformers are matrices, as from Stable Diffusion 2 on, and
/// not 1×1 convolutions.
pub(super) fn has_linear_projections(unet: &Evidence<'_>) -> bool {
    let name = unet.names().into_iter().find(|name| name.ends_with(".proj_in.weight"));
    name.and_then(|name| unet.shape(&name)).is_some_and(|shape| shape.len() == 2)
}
