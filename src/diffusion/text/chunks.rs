//! A prompt of any length as chunks that a text encoder reads one by one.

use super::inversion::Placeholder;
use crate::error::{Error, ErrorKind, Result};
use crate::prompt::{Part, parse};
use crate::tokenizer::Tokenizer;

/// The most chunks of a prompt: some 4800 tokens of CLIP's. Longer ones are mistakes.
const MAX_CHUNKS: usize = 64;

/// What stands at one position.
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
    /// How much each of them counts.
    pub weights: Vec<f32>,
}

/// The chunks of a prompt; at least one. They are filled to the last token (the webui's own option
/// to end a chunk at a comma is not followed); only the vectors of one embedding stay together.
pub(super) fn chunks(
    prompt: &str,
    plain: bool,
    tokenizer: &Tokenizer,
    placeholders: &[Placeholder],
) -> Result<Vec<Chunk>> {
    let parts = match plain {
        true => vec![Part::Text { text: prompt.into(), weight: 1.0 }],
        false => parse(prompt),
    };
    let mut chunks = vec![Chunk::default()];
    for part in parts {
        let (text, weight) = match part {
            Part::Text { text, weight } => (text, weight as f32),
            Part::Break => {
                chunks.push(Chunk::default());
                continue;
            }
        };
        if !weight.is_finite() {
            let message =
                format!("prompt: expected a weight within f32, got {weight} for {text:?}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        for group in groups(&text, tokenizer, placeholders)? {
            let full = |chunk: &Chunk| chunk.tokens.len() + group.len() > tokenizer.capacity();
            if chunks.last().is_none_or(full) {
                chunks.push(Chunk::default());
            }
            if let Some(chunk) = chunks.last_mut() {
                chunk.weights.extend(group.iter().map(|_| weight));
                chunk.tokens.extend(group);
            }
        }
    }
    // A break at the end begins nothing.
    if chunks.len() > 1 && chunks.last().is_some_and(|chunk| chunk.tokens.is_empty()) {
        chunks.pop();
    }
    if chunks.len() > MAX_CHUNKS {
        let message = format!(
            "prompt: expected at most {MAX_CHUNKS} chunks of {} tokens, got {}",
            tokenizer.capacity(),
            chunks.len()
        );
        return Err(Error::new(ErrorKind::Argument, message));
    }
    Ok(chunks)
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
