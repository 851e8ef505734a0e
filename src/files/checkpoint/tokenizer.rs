//! The files of CLIP's tokenizer: every single file needs them and none holds them.

use crate::families::Family;
use crate::tokenizer::clip_merges;
use serde_json::{Map, Value, json};

/// The start and the end of a text; their ids follow those of all merges.
const SPECIAL: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];

/// The files of `tokenizer/` by name. Stable Diffusion 2 pads with `!`, which has the id 0; the
/// others with the end of the text. XL's second tokenizer is the same with `!`, which the text
/// encoder knows.
pub(super) fn files(family: Option<&Family>) -> [(&'static str, Vec<u8>); 3] {
    let plan = family.and_then(|family| family.text.encoders.first());
    let pad = plan.map_or(SPECIAL[1], |plan| plan.tokenizer.padding);
    let config = json!({
        "bos_token": SPECIAL[0],
        "eos_token": SPECIAL[1],
        "model_max_length": 77,
        "pad_token": pad,
        "unk_token": SPECIAL[1],
    });
    [
        ("merges.txt", clip_merges().as_bytes().to_vec()),
        ("tokenizer_config.json", config.to_string().into_bytes()),
        ("vocab.json", vocabulary().to_string().into_bytes()),
    ]
}

/// Ids as OpenAI numbers them: the bytes, the bytes that end a word, what each merge makes, start
/// and end of a text (`simple_tokenizer.py` of openai/CLIP).
fn vocabulary() -> Value {
    // Bytes that are no visible character of Latin-1 have characters from U+0100 on.
    let visible: Vec<char> = ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ').collect();
    let others = (256..).filter_map(char::from_u32).take(256 - visible.len());
    let symbols: Vec<char> = visible.iter().copied().chain(others).collect();
    let pairs = clip_merges().lines().filter_map(|line| line.split_once(' '));
    let merged = pairs.filter(|(a, _)| *a != "#version:").map(|(a, b)| format!("{a}{b}"));
    let bytes = symbols.iter().map(char::to_string);
    let ends = symbols.iter().map(|symbol| format!("{symbol}</w>"));
    let tokens = bytes.chain(ends).chain(merged).chain(SPECIAL.map(String::from));
    Value::Object(tokens.zip(0..).map(|(token, id)| (token, json!(id))).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::{sd1, sd2};
    use crate::tokenizer::{Tokenizer, TokenizerFiles};

    /// The files make the tokenizer that is part of the library.
    #[test]
    fn the_files_are_clips() {
        for (family, pad) in [(&sd1::FAMILY, SPECIAL[1]), (&sd2::FAMILY, "!")] {
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
