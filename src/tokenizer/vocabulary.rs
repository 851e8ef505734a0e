//! [`Vocabulary`]: tokens, merges and added tokens, from `tokenizer.json` or from `vocab.json` and
//! `merges.txt`.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenizers::AddedToken;
use tokenizers::models::bpe::{Merges, Vocab};

use super::{END_OF_WORD, TokenizerFiles};
use crate::error::{Error, ErrorKind, Result};

/// A BPE vocabulary, and the name of its file for messages.
pub(super) struct Vocabulary {
    pub(super) file: &'static str,
    pub(super) vocab: Vocab,
    pub(super) merges: Merges,
    pub(super) added: Vec<Added>,
}

/// An entry of `added_tokens` in `tokenizer.json`.
#[derive(Deserialize)]
pub(super) struct Added {
    pub(super) id: u32,
    #[serde(flatten)]
    pub(super) token: AddedToken,
}

impl Vocabulary {
    pub(super) fn read(files: &TokenizerFiles<'_>) -> Result<Self> {
        match (files.tokenizer_json, files.vocab_json, files.merges_txt) {
            (Some(json), _, _) => Self::from_tokenizer_json("tokenizer.json", json),
            (None, Some(vocab), Some(merges)) => Self::from_vocab_and_merges(vocab, merges),
            (None, vocab, merges) => {
                let got = match (vocab, merges) {
                    (Some(_), _) => "only vocab.json",
                    (_, Some(_)) => "only merges.txt",
                    _ => "none of them",
                };
                Err(Error::new(
                    ErrorKind::NotFound,
                    format!(
                        "tokenizer: expected tokenizer.json, or vocab.json and merges.txt, got {got}"
                    ),
                ))
            }
        }
    }

    fn from_tokenizer_json(file: &'static str, json: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct File {
            model: Value,
            #[serde(default)]
            added_tokens: Vec<Added>,
        }
        #[derive(Deserialize)]
        struct Model {
            vocab: Vocab,
            merges: Vec<Merge>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Merge {
            Pair(String, String),
            Line(String),
        }

        let File { model, mut added_tokens } = parse(file, json)?;
        let kind = model["type"].as_str().unwrap_or("BPE");
        let suffix = model["end_of_word_suffix"].as_str().unwrap_or_default();
        if kind != "BPE" || suffix != END_OF_WORD {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{file}: expected CLIP's model (type BPE, end_of_word_suffix {END_OF_WORD:?}), \
                     got type {kind}, end_of_word_suffix {suffix:?}"
                ),
            ));
        }
        let Model { vocab, merges } =
            serde_json::from_value(model).map_err(|error| not_json(file, error))?;
        let merges = merges.into_iter().enumerate().map(|(index, merge)| match merge {
            Merge::Pair(a, b) => Ok((a, b)),
            Merge::Line(line) => split_merge(file, index + 1, &line),
        });
        let merges = merges.collect::<Result<Merges>>()?;
        added_tokens.sort_by_key(|added| added.id);
        Vocabulary { file, vocab, merges, added: added_tokens }.check(file)
    }

    fn from_vocab_and_merges(vocab: &[u8], merges: &[u8]) -> Result<Self> {
        let file = "merges.txt";
        let text = std::str::from_utf8(merges).map_err(|error| {
            Error::new(ErrorKind::Format, format!("{file}: not UTF-8")).with_source(error)
        })?;
        let lines = text.lines().enumerate();
        let merges = lines
            .filter(|(_, line)| !line.starts_with("#version") && !line.is_empty())
            .map(|(index, line)| split_merge(file, index + 1, line));
        Vocabulary {
            file: "vocab.json",
            vocab: parse("vocab.json", vocab)?,
            merges: merges.collect::<Result<Merges>>()?,
            added: Vec::new(),
        }
        .check(file)
    }

    /// Checks that every merge joins two tokens of the vocabulary into a third.
    fn check(self, merges_file: &str) -> Result<Self> {
        for (rank, (a, b)) in self.merges.iter().enumerate() {
            let joined = format!("{a}{b}");
            let missing = [a, b, &joined].into_iter().find(|t| !self.vocab.contains_key(*t));
            if let Some(missing) = missing {
                return Err(Error::new(
                    ErrorKind::Format,
                    format!(
                        "{merges_file}: merge {} ({a:?} {b:?}): {missing:?} is not in the vocabulary",
                        rank + 1
                    ),
                ));
            }
        }
        let mut used = HashSet::new();
        match self.vocab.iter().find(|(_, id)| **id == u32::MAX || !used.insert(**id)) {
            None => Ok(self),
            Some((token, id)) => Err(Error::new(
                ErrorKind::Format,
                format!("{}: token {token:?}: expected an unused id, got {id}", self.file),
            )),
        }
    }

    /// The largest id plus one.
    pub(super) fn vocab_size(&self) -> usize {
        let added = self.added.iter().map(|added| added.id);
        self.vocab.values().copied().chain(added).max().map_or(0, |id| id as usize + 1)
    }
}

/// Splits a line of `merges.txt`: two tokens with one space between them.
fn split_merge(file: &str, line: usize, text: &str) -> Result<(String, String)> {
    match text.split_once(' ') {
        Some((a, b)) if !a.is_empty() && !b.is_empty() && !b.contains(' ') => {
            Ok((a.to_string(), b.to_string()))
        }
        _ => Err(Error::new(
            ErrorKind::Format,
            format!("{file}: line {line}: expected two tokens and one space, got {text:?}"),
        )),
    }
}

/// Parses a JSON file; the error, of kind `Format`, names the file.
pub(super) fn parse<T: DeserializeOwned>(file: &str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| not_json(file, error))
}

fn not_json(file: &str, error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Format, format!("{file}: damaged or not a tokenizer file"))
        .with_source(error)
}
