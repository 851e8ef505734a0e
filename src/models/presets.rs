//! Models by the sizes of their parts: every weight's name and shape and every configuration, without
//! a file. Plans, costs and kernels can be judged at full size with them, and `croquis synth` writes
//! them with random weights.
//!
//! Stable Diffusion's are those of the published models. MobileDiffusion's weights and exact widths
//! are not public: its presets follow the paper's text (arXiv 2311.16567: full blocks at the core,
//! cross-attention only in the middle, separable convolutions, feed-forward of ratio 6) at widths
//! that meet its counts.

mod autoencoder;
mod list;
mod tables;
mod text;
mod unet;

use crate::error::Result;
use autoencoder::Autoencoder;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use text::Text;
use unet::{Family, Unet};

/// A named model.
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
    unet: Unet,
    vae: Autoencoder,
    /// One text encoder, or two.
    texts: Vec<Text>,
    scheduler: Value,
}

/// A part of a model that has weights.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its folder, such as `unet`.
    pub folder: &'static str,
    /// The name of the file with its weights.
    pub file: &'static str,
    /// Its `config.json`.
    pub config: Value,
    /// Every weight's name and shape, as PyTorch would save them.
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

    /// The preset of a name.
    ///
    /// # Errors
    /// `Argument` listing the names.
    pub fn named(name: &str) -> Result<Preset> {
        tables::named(name)
    }

    /// The configuration of the UNet, as its `config.json` has it.
    pub fn config(&self) -> Value {
        self.unet.config()
    }

    /// Every weight of the UNet, as PyTorch would save them.
    pub fn weights(&self) -> BTreeMap<String, Vec<usize>> {
        self.unet.weights()
    }

    /// The parts that have weights.
    pub fn components(&self) -> Vec<Component> {
        let file = "diffusion_pytorch_model.safetensors";
        let texts = self.texts.iter().zip(TEXT_ENCODERS).map(|(text, folder)| Component {
            folder,
            file: "model.safetensors",
            config: text.config(),
            weights: text.weights(),
        });
        let (unet, vae) = (&self.unet, &self.vae);
        let (folder, config, weights) = ("unet", unet.config(), unet.weights());
        let unet = Component { folder, file, config, weights };
        let (folder, config, weights) = ("vae", vae.config(), vae.weights());
        let vae = Component { folder, file, config, weights };
        texts.chain([vae, unet]).collect()
    }

    /// The other files by their path: the list of components, the sampler's configuration, the
    /// tokenizers.
    pub fn texts(&self) -> Vec<(String, String)> {
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
            (Family::Mobile, _) => ("MobileDiffusionPipeline", "croquis", "MobileDiffusionUNet"),
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
