//! What the prompt of the command says: its text, and the LoRAs that it names.

use super::additions::LoraFile;
use super::lora_dir;
use super::terminal::note;
use croquis::{Error, ErrorKind, Result, split_lora_tags};
use std::io::Read;
use std::path::PathBuf;

/// The most bytes that are read from standard input: more than any prompt has.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a prompt and the LoRAs that it names.
pub struct Wording {
    /// The prompt without tags for LoRAs.
    pub prompt: String,
    /// The LoRAs' files and weights.
    pub loras: Vec<LoraFile>,
}

impl Wording {
    /// Reads a prompt, `-` from standard input, and finds the LoRAs that it names in folders. Without
    /// folders, or in a plain prompt, tags for LoRAs are text.
    pub fn read(prompt: &str, plain: bool, folders: &[PathBuf]) -> Result<Wording> {
        let prompt = if prompt == "-" { standard_input()? } else { prompt.to_string() };
        if plain {
            return Ok(Wording { prompt, loras: Vec::new() });
        }
        let (text, tags) = split_lora_tags(&prompt)?;
        if folders.is_empty() {
            if !tags.is_empty() {
                note("<lora:...> is read as text without a folder of LoRAs (--lora-dir DIR)");
            }
            return Ok(Wording { prompt, loras: Vec::new() });
        }
        let mut loras = Vec::new();
        for tag in tags {
            let file = lora_dir::find(folders, &tag.name)?;
            loras.push(LoraFile { file, text_encoder: tag.text_encoder, denoiser: tag.denoiser });
        }
        Ok(Wording { prompt: text, loras })
    }
}

/// The text of standard input without the end of its last line.
pub fn standard_input() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text).map_err(|error| {
        let message = "prompt: expected text on standard input";
        Error::new(ErrorKind::Io, message).with_source(error)
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_string())
}
