//! CLIP's built-in vocabulary. Every published CLIP text encoder of Stable Diffusion uses it, and
//! single-file checkpoints come without a tokenizer.

use tokenizers::models::bpe::{Merges, Vocab};

use super::vocabulary::Vocabulary;
use super::{END_OF_WORD, Tokenizer};
use crate::error::Result;
use crate::tokenizer::special::{END_OF_TEXT, START_OF_TEXT, SpecialTokens};

/// The 48 894 merges of CLIP's vocabulary in the form of a `merges.txt`: a line with a version,
/// then one pair of tokens a line, the first merge first (© OpenAI, MIT;
/// `src/tokenizer/clip/LICENSE`).
pub fn clip_merges() -> &'static str {
    include_str!("clip/merges.txt")
}

impl Tokenizer {
    /// The tokenizer with CLIP's own vocabulary, for rows of `max_length` ids (77 for CLIP). The
    /// padding is `<|endoftext|>` in Stable Diffusion 1 and in the first encoder of XL, and `!`
    /// (id 0) in Stable Diffusion 2 and in the second encoder of XL.
    ///
    /// # Errors
    /// `Argument` if `max_length < 3`; `Format` if `pad` is not a token.
    pub fn clip(pad: &str, max_length: usize) -> Result<Tokenizer> {
        let special = SpecialTokens { pad: pad.into(), ..SpecialTokens::default() };
        Tokenizer::build(vocabulary(), &special, max_length)
    }
}

/// The vocabulary's tokens in the order of their ids, with the first `merges` merges, as in OpenAI's
/// `SimpleTokenizer`: the 256 bytes, the bytes at the end of a word, the results of the merges,
/// start and end of text.
pub(crate) fn clip_tokens(merges: usize) -> impl Iterator<Item = String> {
    let bytes = byte_symbols().map(String::from);
    let ends = byte_symbols().map(|symbol| format!("{symbol}{END_OF_WORD}"));
    let merged = merge_pairs().take(merges).map(|(a, b)| format!("{a}{b}"));
    bytes.chain(ends).chain(merged).chain([START_OF_TEXT, END_OF_TEXT].map(String::from))
}

/// The pairs of tokens in CLIP's merges, after the line with the version.
fn merge_pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    clip_merges().lines().skip(1).filter_map(|line| line.split_once(' '))
}

/// The built-in vocabulary with all merges.
fn vocabulary() -> Vocabulary {
    let merges: Merges = merge_pairs().map(|(a, b)| (a.into(), b.into())).collect();
    let vocab: Vocab = clip_tokens(usize::MAX).zip(0..).collect();
    Vocabulary { file: "CLIP's vocabulary", vocab, merges, added: Vec::new() }
}

/// The 256 characters that stand for bytes in byte-level BPE: the visible ones of Latin-1 stand for
/// themselves, characters from U+0100 on for the rest.
fn byte_symbols() -> impl Iterator<Item = char> {
    let visible = ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ');
    let count = visible.clone().count() as u32;
    visible.chain((0..256 - count).filter_map(|rest| char::from_u32(256 + rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_vocabulary_has_clips_ids() {
        assert_eq!(byte_symbols().collect::<std::collections::HashSet<_>>().len(), 256);
        let Vocabulary { vocab, merges, .. } = vocabulary();
        assert_eq!((vocab.len(), merges.len()), (49_408, 48_894));
        let ids =
            ["!", "ÿ", "Ā", "Ń", "!</w>", "in", "a</w>", "cat</w>", START_OF_TEXT, END_OF_TEXT];
        let ids = ids.map(|token| vocab[token]);
        assert_eq!(ids, [0, 187, 188, 255, 256, 512, 320, 2368, 49_406, 49_407]);
    }
}
