//! Division of prompts of any length into chunks that fit a text encoder's context.

use super::inversion::Placeholder;
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

/// The chunks of a prompt; at least one. They are filled to the last token (the webui's own option
/// to end a chunk at a comma is not followed); only the vectors of one embedding stay together.
pub(super) fn chunks(
    prompt: &str,
    plain: bool,
    tokenizer: &Tokenizer,
    placeholders: &[Placeholder],
) -> Result<Vec<Chunk>> {
    let parts = match plain {
        true => vec![PromptPart::Text { text: prompt.into(), weight: 1.0 }],
        false => parse(prompt),
    };
    let mut chunks = vec![Chunk::default()];
    for part in parts {
        let (text, weight) = match part {
            PromptPart::Text { text, weight } => (text, weight as f32),
            PromptPart::Break => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;

    const WORDS: [(&str, usize); 3] = [("cat", 2), ("Cat-Toy", 3), ("<x>", 1)];

    fn placeholders() -> Vec<Placeholder> {
        WORDS.map(|(name, rows)| Placeholder { name: name.to_lowercase(), rows }).into()
    }

    /// Each chunk as text: ids in decimal, `E.R` for row R of embedding E, weights after `*`.
    fn read(tokenizer: &Tokenizer, prompt: &str) -> Vec<String> {
        let chunks = chunks(prompt, false, tokenizer, &placeholders()).unwrap();
        let token = |(token, weight): (&Token, &f32)| {
            let token = match token {
                Token::Id(id) => id.to_string(),
                Token::Vector { embedding, row } => format!("{embedding}.{row}"),
            };
            if *weight == 1.0 { token } else { format!("{token}*{weight}") }
        };
        let line = |chunk: &Chunk| {
            let tokens = chunk.tokens.iter().zip(&chunk.weights).map(token);
            tokens.collect::<Vec<_>>().join(" ")
        };
        chunks.iter().map(line).collect()
    }

    #[test]
    fn tokens_fill_chunks() {
        let tokenizer = Tokenizer::clip("!", 6).unwrap();
        let a = tokenizer.ids("a").unwrap()[0].to_string();
        let of = |count: usize| vec![a.as_str(); count].join(" ");
        let cases: [(&str, &[String]); 13] = [
            ("", &[of(0)]),
            ("a a a a", &[of(4)]),
            ("a a a a a", &[of(4), of(1)]),
            ("a a (a a:2) a", &[format!("{} {a}*2 {a}*2", of(2)), of(1)]),
            // Breaks, also where there is nothing before them or after them.
            ("a BREAK a", &[of(1), of(1)]),
            ("a a a a BREAK", &[of(4)]),
            ("BREAK a", &[of(0), of(1)]),
            ("BREAK BREAK", &[of(0), of(0)]),
            // The vectors of a word stay together.
            ("a CAT a", &[format!("{a} 0.0 0.1 {a}")]),
            ("a a a (cat)", &[of(3), "0.0*1.1 0.1*1.1".into()]),
            // The longest name wins, and names are whole words.
            ("cat-toy", &["1.0 1.1 1.2".into()]),
            ("a<X>a", &[format!("{a} 2.0 {a}")]),
            ("BREAKcat cats", &[read(&tokenizer, "BREAKcat cats").join("")]),
        ];
        for (prompt, want) in cases {
            assert_eq!(read(&tokenizer, prompt), want, "{prompt:?}");
        }
        assert!(!read(&tokenizer, "BREAKcat cats").join("").contains('.'));
    }

    #[test]
    fn brackets_are_words_in_plain_prompts() {
        let tokenizer = Tokenizer::clip("!", 77).unwrap();
        let prompt = "(a:2) BREAK \\[b]";
        let ids: Vec<_> = tokenizer.ids(prompt).unwrap().into_iter().map(Token::Id).collect();
        let plain = chunks(prompt, true, &tokenizer, &[]).unwrap();
        assert_eq!(plain, [Chunk { weights: vec![1.0; ids.len()], tokens: ids }]);
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let tokenizer = Tokenizer::clip("!", 3).unwrap();
        let refused =
            |prompt: &str| chunks(prompt, false, &tokenizer, &[]).err().map(|e| e.to_string());
        assert_eq!(refused(&"a ".repeat(MAX_CHUNKS)), None);
        let long = refused(&"a ".repeat(MAX_CHUNKS + 1)).unwrap();
        assert!(long.contains("at most 64 chunks of 1 tokens, got 65"), "{long}");
        let heavy = refused(&format!("(a:{})", "9".repeat(60))).unwrap();
        assert!(heavy.contains("expected a weight within f32"), "{heavy}");
    }

    #[test]
    fn any_text_has_chunks() {
        let tokenizer = Tokenizer::clip("!", 7).unwrap();
        let pieces = [
            "cat",
            "CAT-TOY",
            "-toy",
            "<x>",
            "(",
            ":1.5)",
            "]",
            " ",
            "İ",
            "é",
            "👩\u{200d}🚀",
            "BREAK",
            "\\",
            "a",
        ];
        let mut random = Generator::new(3);
        for _ in 0..2000 {
            let drawn = random.normal(20);
            let pick = |value: &f32| pieces[(value.abs() * 1e4) as usize % pieces.len()];
            let prompt: String = drawn.iter().map(pick).collect();
            let chunks = chunks(&prompt, false, &tokenizer, &placeholders()).unwrap();
            let fits = |chunk: &Chunk| {
                chunk.tokens.len() <= 5 && chunk.tokens.len() == chunk.weights.len()
            };
            assert!(!chunks.is_empty() && chunks.iter().all(fits), "{prompt:?}");
        }
    }
}
