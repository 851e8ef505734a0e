//! The files of a `tokenizer/` folder with CLIP's vocabulary, which single files lack.

use crate::families::Family;
use crate::tokenizer::{END_OF_TEXT, START_OF_TEXT, clip_merges, clip_tokens};
use serde_json::{Map, Value, json};

/// The files of `tokenizer/` by name. Stable Diffusion 2 pads with `!`, which has the id 0; the
/// others with the end of the text. XL's second tokenizer is the same with `!`, which the text
/// encoder knows.
pub(super) fn files(family: Option<&Family>) -> [(&'static str, Vec<u8>); 3] {
    let plan = family.and_then(|family| family.text.encoders.first());
    let pad = plan.map_or(END_OF_TEXT, |plan| plan.tokenizer.padding);
    let config = json!({
        "bos_token": START_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "model_max_length": 77,
        "pad_token": pad,
        "unk_token": END_OF_TEXT,
    });
    let ids = clip_tokens(usize::MAX).zip(0..);
    let vocabulary: Map<_, _> = ids.map(|(token, id)| (token, json!(id))).collect();
    [
        ("merges.txt", clip_merges().as_bytes().to_vec()),
        ("tokenizer_config.json", config.to_string().into_bytes()),
        ("vocab.json", Value::Object(vocabulary).to_string().into_bytes()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::{sd1, sd2};
    use crate::tokenizer::{Tokenizer, TokenizerFiles};

    /// The files make the tokenizer that is part of the library.
    #[test]
    fn the_files_are_clips() {
        for (family, pad) in [(&sd1::FAMILY, END_OF_TEXT), (&sd2::FAMILY, "!")] {
            let files = files(Some(family));
            let file = |name| files.iter().find(|(n, _)| *n == name).map(|(_, text)| &text[..]);
            let files = TokenizerFiles {
                vocab_json: file("vocab.json"),
                merges_txt: file("merges.txt"),
                tokenizer_config: file("tokenizer_config.json"),
                ..Default::default()
            };
            let (ours, own) = (Tokenizer::new(&files, 77), Tokenizer::clip(pad, 77));
            let (ours, own) = (ours.expect("files"), own.expect("the vocabulary"));
            assert_eq!(ours.vocab_size(), 49_408);
            for text in ["", "a red apple", "Zwölf Boxkämpfer, 日本 🎨!", "<|endoftext|> x"] {
                assert_eq!(ours.encode(text).ok(), own.encode(text).ok(), "{text}");
            }
        }
    }
}
