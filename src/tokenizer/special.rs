//! The special tokens (start, end, unknown, padding) and `model_max_length`, read from a
//! tokenizer's configuration files.

use serde_json::{Map, Value};

use super::TokenizerFiles;
use super::vocabulary::parse;
use crate::error::{Error, ErrorKind, Result};

/// CLIP's start-of-text token.
pub(crate) const START_OF_TEXT: &str = "<|startoftext|>";

/// CLIP's end-of-text token.
pub(crate) const END_OF_TEXT: &str = "<|endoftext|>";

/// The names of the special tokens; those of CLIP where the files have none.
pub(super) struct SpecialTokens {
    pub(super) bos: String,
    pub(super) eos: String,
    pub(super) unk: String,
    pub(super) pad: String,
    pub(super) model_max_length: Option<usize>,
}

impl Default for SpecialTokens {
    fn default() -> Self {
        let [start, end] = [START_OF_TEXT, END_OF_TEXT].map(String::from);
        let (unk, pad) = (end.clone(), end.clone());
        SpecialTokens { bos: start, eos: end, unk, pad, model_max_length: None }
    }
}

impl SpecialTokens {
    pub(super) fn read(files: &TokenizerFiles<'_>) -> Result<Self> {
        let read = |file, json: Option<&[u8]>| -> Result<(&str, Map<String, Value>)> {
            Ok((file, json.map(|json| parse(file, json)).transpose()?.unwrap_or_default()))
        };
        let config = read("tokenizer_config.json", files.tokenizer_config)?;
        let map = read("special_tokens_map.json", files.special_tokens_map)?;

        // transformers reads `special_tokens_map.json` last, so that it wins (Stable Diffusion 2
        // names its padding only there), unless `tokenizer_config.json` lists the added tokens
        // itself.
        let order = if config.1.contains_key("added_tokens_decoder") {
            [&config, &map]
        } else {
            [&map, &config]
        };
        let token = |key: &str, default: String| -> Result<String> {
            for (file, entries) in order {
                match entries.get(key) {
                    None | Some(Value::Null) => {}
                    Some(Value::String(token)) => return Ok(token.clone()),
                    Some(entry) => {
                        let content = entry.get("content").and_then(Value::as_str);
                        return content.map(str::to_string).ok_or_else(|| bad(file, key, entry));
                    }
                }
            }
            Ok(default)
        };
        // 1e30 stands for "no limit".
        let model_max_length = match config.1.get("model_max_length") {
            None | Some(Value::Null) => None,
            Some(entry) => match entry.as_f64() {
                Some(length) if length >= 1.0 => Some(length as usize),
                _ => {
                    return Err(Error::new(
                        ErrorKind::Format,
                        format!(
                            "{}: model_max_length: expected a positive number, got {entry}",
                            config.0
                        ),
                    ));
                }
            },
        };
        let default = SpecialTokens::default();
        Ok(SpecialTokens {
            bos: token("bos_token", default.bos)?,
            eos: token("eos_token", default.eos)?,
            unk: token("unk_token", default.unk)?,
            pad: token("pad_token", default.pad)?,
            model_max_length,
        })
    }

    /// The four names: start, end, unknown, padding.
    pub(super) fn names(&self) -> [&str; 4] {
        [&self.bos, &self.eos, &self.unk, &self.pad]
    }
}

fn bad(file: &str, key: &str, entry: &Value) -> Error {
    Error::new(
        ErrorKind::Format,
        format!("{file}: {key}: expected a string or an object with \"content\", got {entry}"),
    )
}
