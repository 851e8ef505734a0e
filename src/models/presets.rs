//! Presets: models without files, given by every weight's name and shape and every configuration.
//! They serve to plan, cost and benchmark at full size, and `croquis synth` writes them with random
//! weights.
//!
//! The Stable Diffusion presets have the sizes of the published models. MobileDiffusion's weights
//! and exact widths are not public: its presets follow the paper's text (arXiv 2311.16567: full
//! blocks at the core, cross-attention only in the middle, separable convolutions, feed-forward of
//! ratio 6) at widths that match its parameter counts.

mod autoencoder;
mod list;
mod tables;
mod text;
mod unet;

use crate::error::Result;
use autoencoder::AutoencoderPreset;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use text::TextEncoderPreset;
use unet::{UnetFamily, UnetPreset};

/// A preset: a named model without files.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Its name, one of [`Preset::NAMES`].
    pub name: &'static str,
    /// Height and width of the latents.
    pub sample_size: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Width of the text embeddings.
    pub text_width: usize,
    unet: UnetPreset,
    vae: AutoencoderPreset,
    /// The text encoders: one or two.
    texts: Vec<TextEncoderPreset>,
    scheduler: Value,
}

/// A component with weights, such as the UNet.
#[derive(Clone, Debug)]
pub struct PresetComponent {
    /// Its folder, such as `unet`.
    pub folder: &'static str,
    /// The name of the file with its weights.
    pub file: &'static str,
    /// Its `config.json`.
    pub config: Value,
    /// Name and shape of every weight, as PyTorch saves them.
    pub weights: BTreeMap<String, Vec<usize>>,
}

const TEXT_ENCODERS: [&str; 2] = ["text_encoder", "text_encoder_2"];
const TOKENIZERS: [&str; 2] = ["tokenizer", "tokenizer_2"];

impl Preset {
    /// The names of all presets.
    pub const NAMES: [&'static str; 9] = [
        "mobilediffusion",
        "mobilediffusion-lite",
        "emoji-64",
        "sd15",
        "sd21",
        "sdxl",
        "sd15-tiny",
        "sd21-tiny",
        "sdxl-tiny",
    ];

    /// The preset called `name`.
    ///
    /// # Errors
    /// `Argument` listing the names.
    pub fn named(name: &str) -> Result<Preset> {
        tables::named(name)
    }

    /// The UNet's `config.json`.
    pub fn config(&self) -> Value {
        self.unet.config()
    }

    /// Name and shape of every weight of the UNet, as PyTorch saves them.
    pub fn weights(&self) -> BTreeMap<String, Vec<usize>> {
        self.unet.weights()
    }

    /// The components with weights: text encoders, autoencoder, UNet.
    pub fn components(&self) -> Vec<PresetComponent> {
        let file = "diffusion_pytorch_model.safetensors";
        let texts = self.texts.iter().zip(TEXT_ENCODERS).map(|(text, folder)| PresetComponent {
            folder,
            file: "model.safetensors",
            config: text.config(),
            weights: text.weights(),
        });
        let (unet, vae) = (&self.unet, &self.vae);
        let (folder, config, weights) = ("unet", unet.config(), unet.weights());
        let unet = PresetComponent { folder, file, config, weights };
        let (folder, config, weights) = ("vae", vae.config(), vae.weights());
        let vae = PresetComponent { folder, file, config, weights };
        texts.chain([vae, unet]).collect()
    }

    /// The files without weights, as (path, text): `model_index.json`, the scheduler configuration,
    /// the tokenizers.
    pub fn text_files(&self) -> Vec<(String, String)> {
        let mut files = vec![
            ("model_index.json".to_string(), pretty(&self.index())),
            ("scheduler/scheduler_config.json".to_string(), pretty(&self.scheduler)),
        ];
        for (text, folder) in self.texts.iter().zip(TOKENIZERS) {
            let named = |(name, contents)| (format!("{folder}/{name}"), contents);
            files.extend(text.tokenizer().into_iter().map(named));
        }
        files
    }

    /// The `model_index.json`.
    fn index(&self) -> Value {
        let (pipeline, library, unet) = match (self.unet.family, self.texts.len()) {
            (UnetFamily::Mobile, _) => {
                ("MobileDiffusionPipeline", "croquis", "MobileDiffusionUNet")
            }
            (_, 2) => ("StableDiffusionXLPipeline", "diffusers", "UNet2DConditionModel"),
            _ => ("StableDiffusionPipeline", "diffusers", "UNet2DConditionModel"),
        };
        let mut index = Map::new();
        index.insert("_class_name".into(), pipeline.into());
        index.insert("scheduler".into(), json!(["diffusers", self.scheduler["_class_name"]]));
        for ((text, encoder), tokenizer) in self.texts.iter().zip(TEXT_ENCODERS).zip(TOKENIZERS) {
            index.insert(encoder.into(), json!(["transformers", text.class()]));
            index.insert(tokenizer.into(), json!(["transformers", "CLIPTokenizer"]));
        }
        index.insert("unet".into(), json!([library, unet]));
        index.insert("vae".into(), json!(["diffusers", "AutoencoderKL"]));
        if pipeline == "StableDiffusionPipeline" {
            index.insert("safety_checker".into(), json!([null, null]));
            index.insert("feature_extractor".into(), json!([null, null]));
            index.insert("requires_safety_checker".into(), false.into());
        }
        index.into()
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
