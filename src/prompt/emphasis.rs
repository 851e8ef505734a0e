//! Weights of words, and breaks.
//!
//! | Written | Means |
//! | --- | --- |
//! | `(word)` | weight × 1.1, once for each bracket |
//! | `(word:1.3)` | weight × 1.3 |
//! | `[word]` | weight ÷ 1.1 |
//! | `\(` `\)` `\[` `\]` `\\` | the character itself; a backslash before another character is dropped |
//! | `BREAK` | the text after it begins another chunk |
//!
//! An unclosed bracket reaches to the end; an unopened one is text. Between `:` and `)` anything
//! but a number is text.
//!
//! The results are those of `parse_prompt_attention` (webui's `modules/prompt_parser.py`), except
//! for `BREAK` inside brackets, which webui turns into a word of negative weight and this parser
//! into a break.

use super::limits::{MAX_BRACKETS, check_length, too_many_brackets};
use super::words::split_at;
use crate::error::Result;

/// The factor of one round bracket; a square bracket divides by it.
const BRACKET: f64 = 1.1;

/// A part of a parsed prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum PromptPart {
    /// Words with one weight. They are tokenised apart from their neighbours.
    Text {
        /// The words, without brackets and weights.
        text: String,
        /// The factor on the words' embeddings; 1 is the weight of a plain prompt.
        weight: f64,
    },
    /// `BREAK`: the following text begins another chunk of tokens.
    Break,
}

/// Parses a prompt into parts, at least one. Neighbouring texts differ in weight; weights are
/// finite.
///
/// # Errors
/// `Argument` for a prompt of more than [`MAX_CHARACTERS`](super::limits::MAX_CHARACTERS), or with more than
/// 100 brackets open at one place.
pub fn parse(prompt: &str) -> Result<Vec<PromptPart>> {
    check_length(prompt)?;
    let mut parser = Parser::default();
    let mut rest = prompt;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        match first {
            '\\' => {
                let escaped = rest[1..].chars().next().filter(|c| r"()[]\".contains(*c));
                parser.parts.push(text(escaped.map_or_else(String::new, String::from)));
                length += escaped.map_or(0, char::len_utf8);
            }
            '(' => parser.round.push(parser.parts.len()),
            '[' => parser.square.push(parser.parts.len()),
            ')' if !parser.round.is_empty() => parser.close_round(BRACKET),
            ']' if !parser.square.is_empty() => parser.close_square(),
            ':' if !parser.round.is_empty()
                && let Some((factor, end)) = factor(rest) =>
            {
                parser.close_round(factor);
                length = end;
            }
            ':' | ')' | ']' => parser.parts.push(text(first)),
            _ => {
                length = rest.find(['\\', '(', ')', '[', ']', ':']).unwrap_or(rest.len());
                parser.words(&rest[..length]);
            }
        }
        if parser.round.len() + parser.square.len() > MAX_BRACKETS {
            return Err(too_many_brackets());
        }
        rest = &rest[length..];
    }
    Ok(parser.finish())
}

fn text(text: impl Into<String>) -> PromptPart {
    PromptPart::Text { text: text.into(), weight: 1.0 }
}

/// Parses `:1.3)`: the number and the length of the text before the rest.
fn factor(text: &str) -> Option<(f64, usize)> {
    // Spaces around the number are allowed.
    let number = text[1..].trim_start();
    let end = number.find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c))?;
    let value: f64 = number[..end].parse().ok()?;
    let rest = number[end..].trim_start().strip_prefix(')')?;
    value.is_finite().then_some((value, text.len() - rest.len()))
}

#[derive(Default)]
struct Parser {
    parts: Vec<PromptPart>,
    /// For each open round bracket, the index of the first part inside.
    round: Vec<usize>,
    square: Vec<usize>,
}

impl Parser {
    /// Adds text without brackets, split at the word `BREAK` without the spaces around it.
    fn words(&mut self, words: &str) {
        let pieces = split_at("BREAK", words);
        let last = pieces.len() - 1;
        for (index, mut piece) in pieces.into_iter().enumerate() {
            if index > 0 {
                self.parts.push(PromptPart::Break);
                piece = piece.trim_start();
            }
            self.parts.push(text(if index < last { piece.trim_end() } else { piece }));
        }
    }

    fn close_round(&mut self, factor: f64) {
        let first = self.round.pop();
        self.multiply(first, factor);
    }

    fn close_square(&mut self) {
        let first = self.square.pop();
        self.multiply(first, 1.0 / BRACKET);
    }

    /// Multiplies the weights of all parts from `first` on.
    fn multiply(&mut self, first: Option<usize>, factor: f64) {
        for part in self.parts.iter_mut().skip(first.unwrap_or(usize::MAX)) {
            if let PromptPart::Text { weight, .. } = part {
                *weight = (*weight * factor).clamp(f64::MIN, f64::MAX);
            }
        }
    }

    /// Closes the open brackets and joins neighbouring texts of one weight.
    fn finish(mut self) -> Vec<PromptPart> {
        while let Some(first) = self.round.pop() {
            self.multiply(Some(first), BRACKET);
        }
        while !self.square.is_empty() {
            self.close_square();
        }
        let mut joined: Vec<PromptPart> = Vec::new();
        for part in self.parts {
            match (joined.last_mut(), part) {
                (
                    Some(PromptPart::Text { text, weight }),
                    PromptPart::Text { text: more, weight: same },
                ) if *weight == same => {
                    text.push_str(&more);
                }
                (_, part) => joined.push(part),
            }
        }
        if joined.is_empty() {
            joined.push(text(""));
        }
        joined
    }
}
