//! Division of prompts of any length into chunks that fit a text encoder's context.

use super::inversion::Placeholder;
use super::options::TextOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::prompt::{PromptPart, parse};
use crate::tokenizer::Tokenizer;

/// The most chunks of a prompt: some 4800 tokens of CLIP's. Longer ones are mistakes.
const MAX_CHUNKS: usize = 64;

/// A token of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A token of the vocabulary.
    Id(u32),
    /// A row of the embedding with this index.
    Vector { embedding: usize, row: usize },
}

/// A part of a prompt that fits the encoder, without start, end and padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Chunk {
    /// At most [`Tokenizer::capacity`] tokens.
    pub tokens: Vec<Token>,
    /// The weight of each token.
    pub weights: Vec<f32>,
}

/// The chunks of a prompt; at least one. They are filled to the last token, except that the vectors of
/// one embedding stay together, and that the words after a comma move to the next chunk where the
/// comma is among the last [`TextOptions::comma_backtrack`] tokens (`tokenize_line` in the webui's
/// `modules/sd_hijack_clip.py`).
///
/// # Errors
/// `Argument` for a prompt that cannot be read, a weight beyond f32, or more than [`MAX_CHUNKS`]
/// chunks.
pub(super) fn chunks(
    prompt: &str,
    options: TextOptions,
    tokenizer: &Tokenizer,
    placeholders: &[Placeholder],
) -> Result<Vec<Chunk>> {
    let parts = match options.plain {
        true => vec![PromptPart::Text { text: prompt.into(), weight: 1.0 }],
        false => parse(prompt)?,
    };
    let mut chunker = Chunker {
        chunks: Vec::new(),
        chunk: Chunk::default(),
        comma: None,
        capacity: tokenizer.capacity(),
        backtrack: options.comma_backtrack,
    };
    for part in parts {
        let (text, weight) = match part {
            PromptPart::Text { text, weight } => (text, weight as f32),
            PromptPart::Break => {
                chunker.next();
                continue;
            }
        };
        if !weight.is_finite() {
            let message =
                format!("prompt: expected a weight within f32, got {weight} for {text:?}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        for group in groups(&text, tokenizer, placeholders)? {
            let comma = tokenizer.comma().is_some_and(|comma| group == [Token::Id(comma)]);
            chunker.add(group, weight, comma);
        }
    }
    chunker.finish()
}

/// Fills chunks with tokens.
struct Chunker {
    /// The chunks before the current one.
    chunks: Vec<Chunk>,
    chunk: Chunk,
    /// The position of the last comma in the current chunk.
    comma: Option<usize>,
    capacity: usize,
    backtrack: usize,
}

impl Chunker {
    /// Begins another chunk.
    fn next(&mut self) {
        self.chunks.push(std::mem::take(&mut self.chunk));
        self.comma = None;
    }

    /// Adds tokens that stay together.
    fn add(&mut self, group: Vec<Token>, weight: f32, comma: bool) {
        let count = self.chunk.tokens.len();
        if comma {
            self.comma = Some(count);
        }
        if count + group.len() > self.capacity {
            let near = self.comma.filter(|at| count - at <= self.backtrack);
            // As in the webui, neither a comma itself nor an embedding that is longer than what is
            // left looks back.
            let moved = near.filter(|_| !comma && count == self.capacity);
            let from = moved.map_or(count, |at| at + 1);
            let tokens = self.chunk.tokens.split_off(from);
            let weights = self.chunk.weights.split_off(from);
            self.next();
            self.chunk = Chunk { tokens, weights };
            if self.chunk.tokens.len() + group.len() > self.capacity {
                self.next();
            }
        }
        self.chunk.weights.extend(group.iter().map(|_| weight));
        self.chunk.tokens.extend(group);
    }

    /// All chunks. A break at the end begins nothing.
    fn finish(mut self) -> Result<Vec<Chunk>> {
        if self.chunks.is_empty() || !self.chunk.tokens.is_empty() {
            self.next();
        }
        if self.chunks.len() <= MAX_CHUNKS {
            return Ok(self.chunks);
        }
        let (capacity, got) = (self.capacity, self.chunks.len());
        let message =
            format!("prompt: expected at most {MAX_CHUNKS} chunks of {capacity} tokens, got {got}");
        Err(Error::new(ErrorKind::Argument, message))
    }
}

/// The tokens of a text, those that must stay together in one group.
fn groups(
    text: &str,
    tokenizer: &Tokenizer,
    placeholders: &[Placeholder],
) -> Result<Vec<Vec<Token>>> {
    let mut groups = Vec::new();
    let mut start = 0;
    for (at, _) in text.char_indices() {
        if at < start {
            continue; // inside a name
        }
        // Of several, the longest name.
        let matches = placeholders.iter().enumerate().filter_map(|(embedding, placeholder)| {
            placeholder.length_at(text, at).map(|length| (length, embedding))
        });
        if let Some((length, embedding)) = matches.max_by_key(|(length, _)| *length) {
            let ids = tokenizer.ids(&text[start..at])?;
            groups.extend(ids.into_iter().map(|id| vec![Token::Id(id)]));
            let rows = 0..placeholders[embedding].rows;
            groups.push(rows.map(|row| Token::Vector { embedding, row }).collect());
            start = at + length;
        }
    }
    let ids = tokenizer.ids(&text[start..])?;
    groups.extend(ids.into_iter().map(|id| vec![Token::Id(id)]));
    Ok(groups)
}

#[cfg(test)]
mod tests;
