//! Options for files that are added to a model: LoRAs, textual inversions, other autoencoders.

use super::terminal::say;
use croquis::Lora;
use croquis::diffusion::{Autoencoder, Model, TextualInversion};
use croquis::{Error, Result};
use std::path::PathBuf;
use std::str::FromStr;

/// Options for files that change a model.
#[derive(clap::Args)]
#[command(next_help_heading = "Additions")]
pub struct AdditionOptions {
    /// A LoRA and its weight (1 by default); two weights, for text encoders and denoiser, are
    /// FILE:te=0.5:unet=1; repeat for several
    #[arg(long = "lora", value_name = "FILE[:WEIGHT]")]
    loras: Vec<LoraFile>,
    /// A folder in which <lora:NAME:WEIGHT> in the prompt finds NAME.safetensors; repeat for several
    /// [default: CROQUIS_LORA_DIR]
    #[arg(long, value_name = "DIR")]
    lora_dir: Vec<PathBuf>,
    /// A textual inversion; its word is the file's name or the one in the file; repeat for several
    #[arg(long = "embedding", value_name = "FILE")]
    embeddings: Vec<PathBuf>,
    /// An autoencoder in place of the model's own, such as TAESD
    #[arg(long, value_name = "DIR|FILE")]
    vae: Option<PathBuf>,
    /// A small autoencoder for --preview, such as TAESD [default: one colour per latent]
    #[arg(long, value_name = "DIR|FILE", requires = "preview")]
    preview_vae: Option<PathBuf>,
}

/// A LoRA file and its weights.
#[derive(Clone, PartialEq)]
pub struct LoraFile {
    pub file: PathBuf,
    /// The weight of its changes of the text encoders.
    pub text_encoder: f32,
    /// The weight of its changes of the denoiser.
    pub denoiser: f32,
}

impl FromStr for LoraFile {
    type Err = String;

    /// Parses a path, optionally followed by a colon and a number, or by `:te=NUMBER:unet=NUMBER`.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<f32>().ok();
        let two = || {
            let (rest, unet) = text.rsplit_once(":unet=")?;
            let (file, te) = rest.rsplit_once(":te=")?;
            Some((file, number(te)?, number(unet)?))
        };
        let one = || {
            let (file, weight) = text.rsplit_once(':')?;
            let weight = number(weight)?;
            Some((file, weight, weight))
        };
        let (file, text_encoder, denoiser) = two().or_else(one).unwrap_or((text, 1.0, 1.0));
        match file.is_empty() {
            true => Err("expected a file".into()),
            false => Ok(LoraFile { file: file.into(), text_encoder, denoiser }),
        }
    }
}

impl AdditionOptions {
    /// Adds the files to the model, and the LoRAs that a prompt names, and reports what they are.
    pub fn apply(&self, model: &mut Model, named: &[LoraFile]) -> Result<()> {
        let option = |name: &'static str| move |error: Error| error.context(name);
        if let Some(path) = &self.vae {
            let vae = Autoencoder::open(path).map_err(option("--vae"))?;
            model.set_autoencoder(vae).map_err(option("--vae"))?;
        }
        if let Some(path) = &self.preview_vae {
            let vae = Autoencoder::open(path).map_err(option("--preview-vae"))?;
            model.set_preview_decoder(Some(vae)).map_err(option("--preview-vae"))?;
        }
        for file in &self.embeddings {
            let embedding = TextualInversion::open(file).map_err(option("--embedding"))?;
            model.add_embedding(&embedding).map_err(option("--embedding"))?;
            let word = embedding.placeholder();
            say(format!("embedding {}: write {word:?} in the prompt", file.display()));
        }
        let open = |lora: &LoraFile| {
            let opened = Lora::open(&lora.file)?.with_text_encoder_weight(lora.text_encoder);
            Ok((opened, lora.denoiser))
        };
        let loras = self.loras.iter().chain(named).map(open).collect::<Result<Vec<_>>>();
        loras.and_then(|loras| model.set_loras(&loras)).map_err(option("--lora"))?;
        Ok(())
    }

    /// Whether previews have an autoencoder of their own.
    pub fn decodes_previews(&self) -> bool {
        self.preview_vae.is_some()
    }

    /// The LoRAs, and those that a prompt names, for the PNG's parameters, as `name: weight`; with two weights as
    /// `name: te=0.5:unet=0.7`.
    pub fn noted_loras(&self, named: &[LoraFile]) -> Vec<String> {
        let noted = |lora: &LoraFile| {
            let name = lora.file.file_stem().unwrap_or_default().to_string_lossy();
            match lora.text_encoder == lora.denoiser {
                true => format!("{name}: {}", lora.denoiser),
                false => format!("{name}: te={}:unet={}", lora.text_encoder, lora.denoiser),
            }
        };
        self.loras.iter().chain(named).map(noted).collect()
    }

    /// The folders of LoRAs that a prompt names.
    pub fn lora_folders(&self) -> Vec<PathBuf> {
        match std::env::var_os("CROQUIS_LORA_DIR").filter(|folder| !folder.is_empty()) {
            Some(folder) if self.lora_dir.is_empty() => vec![folder.into()],
            _ => self.lora_dir.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_come_after_the_last_colon() {
        for (text, file, weights) in [
            ("a.safetensors", "a.safetensors", [1.0; 2]),
            ("a.safetensors:0.5", "a.safetensors", [0.5; 2]),
            ("C:\\a.safetensors", "C:\\a.safetensors", [1.0; 2]),
            ("a:b:-1", "a:b", [-1.0; 2]),
            ("a:te=0.5:unet=-1", "a", [0.5, -1.0]),
            ("a:te=x:unet=1", "a:te=x:unet=1", [1.0; 2]),
        ] {
            let parsed: LoraFile = text.parse().expect(text);
            let found = [parsed.text_encoder, parsed.denoiser];
            assert_eq!((parsed.file, found), (file.into(), weights), "{text}");
        }
        assert!(":0.5".parse::<LoraFile>().is_err());
    }
}
