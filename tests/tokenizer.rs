//! The tokenizer against transformers' ids: `golden/tokenizer.json` for both forms of vocabulary
//! files, `golden/tokenizer_clip.safetensors` for CLIP's vocabulary.

use std::path::PathBuf;

use croquis::error::ErrorKind;
use croquis::internal::tokenizer::{Tokenizer, TokenizerFiles};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    max_length: usize,
    pad: u32,
    texts: Vec<Case>,
    exclamation_pad: u32,
    exclamation_texts: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn model_file(name: &str) -> Vec<u8> {
    std::fs::read(root().join("models/emoji-64").join(name)).expect(name)
}

fn golden() -> Golden {
    let json = std::fs::read(root().join("tests/golden/tokenizer.json")).expect("golden ids");
    serde_json::from_slice(&json).expect("golden ids")
}

/// The files of the embedded model's tokenizer folder.
struct Folder {
    tokenizer: Vec<u8>,
    vocab: Vec<u8>,
    merges: Vec<u8>,
    config: Vec<u8>,
    map: Vec<u8>,
}

impl Folder {
    fn read() -> Self {
        Folder {
            tokenizer: model_file("tokenizer/tokenizer.json"),
            vocab: model_file("tokenizer/vocab.json"),
            merges: model_file("tokenizer/merges.txt"),
            config: model_file("tokenizer/tokenizer_config.json"),
            map: model_file("tokenizer/special_tokens_map.json"),
        }
    }

    fn whole(&self) -> TokenizerFiles<'_> {
        TokenizerFiles {
            tokenizer_json: Some(&self.tokenizer),
            tokenizer_config: Some(&self.config),
            special_tokens_map: Some(&self.map),
            ..Default::default()
        }
    }

    fn pair(&self) -> TokenizerFiles<'_> {
        TokenizerFiles {
            vocab_json: Some(&self.vocab),
            merges_txt: Some(&self.merges),
            tokenizer_json: None,
            ..self.whole()
        }
    }
}

/// The texts whose ids differ, with both rows of ids.
fn differences(tokenizer: &Tokenizer, cases: &[Case], pad: u32) -> Vec<String> {
    let compare = |case: &Case| {
        let mut want = case.ids.clone();
        want.resize(tokenizer.max_length(), pad);
        let got = tokenizer.encode(&case.text).expect("encodes").ids;
        (got != want).then(|| format!("{:?}\n  want {want:?}\n  got  {got:?}", case.text))
    };
    cases.iter().filter_map(compare).collect()
}

#[test]
fn ids_equal_those_of_transformers() {
    let (folder, golden) = (Folder::read(), golden());
    assert!(golden.texts.len() >= 200);
    for files in [folder.whole(), folder.pair()] {
        let tokenizer = Tokenizer::new(&files, 77).unwrap();
        assert_eq!(tokenizer.max_length(), golden.max_length);
        let wrong = differences(&tokenizer, &golden.texts, golden.pad);
        assert!(wrong.is_empty(), "{} texts differ:\n{}", wrong.len(), wrong.join("\n"));
    }
}

#[test]
fn the_comparison_can_fail() {
    let (folder, golden) = (Folder::read(), golden());
    let tokenizer = Tokenizer::new(&folder.whole(), 77).unwrap();
    let wrong = differences(&tokenizer, &golden.texts, golden.pad + 1);
    assert!(wrong.len() > golden.texts.len() / 2);
}

/// The items of a golden file that stores them concatenated, with the end of each.
fn items<T: bytemuck::Pod>(file: &safetensors::SafeTensors<'_>, name: &str) -> Vec<Vec<T>> {
    let values: Vec<T> = bytemuck::pod_collect_to_vec(file.tensor(name).expect(name).data());
    let ends = format!("{}_ends", name.trim_end_matches('s'));
    let ends: Vec<u32> = bytemuck::pod_collect_to_vec(file.tensor(&ends).expect(&ends).data());
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let ranges = starts.zip(&ends);
    ranges.map(|(start, &end)| values[start as usize..end as usize].to_vec()).collect()
}

#[test]
fn ten_thousand_texts_in_clips_vocabulary() {
    let bytes = std::fs::read(root().join("tests/golden/tokenizer_clip.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let texts = items::<u8>(&file, "texts");
    let texts: Vec<_> = texts.into_iter().map(|text| String::from_utf8(text).unwrap()).collect();
    assert_eq!(texts.len(), 10_000);
    let rows = |name: &str| items::<u16>(&file, name);
    let differences = |tokenizer: &Tokenizer, rows: &[Vec<u16>]| {
        let mut wrong = Vec::new();
        for (text, row) in texts.iter().zip(rows) {
            let want: Vec<u32> = row.iter().copied().map(u32::from).collect();
            let got = tokenizer.ids(text).unwrap();
            if got != want {
                wrong.push(format!("{text:?}\n  want {want:?}\n  got  {got:?}"));
            }
        }
        wrong
    };
    let (ids, pad_ids) = (rows("ids"), rows("pad_ids"));
    for (pad, rows) in [("<|endoftext|>", &ids), ("!", &pad_ids)] {
        let wrong = differences(&Tokenizer::clip(pad, 77).unwrap(), rows);
        let some = wrong.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
        assert!(wrong.is_empty(), "padding {pad}: {} texts differ:\n{some}", wrong.len());
    }
    // The paddings differ where a text has "!" as a word, and nowhere else.
    let tokenizer = Tokenizer::clip("<|endoftext|>", 77).unwrap();
    let wrong = differences(&tokenizer, &pad_ids);
    assert!(wrong.len() > 10 && wrong.len() < pad_ids.len() / 2, "{}", wrong.len());
    let changed = differences(&tokenizer.with_padding("!").unwrap(), &pad_ids);
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn clips_tokenizer_of_every_model() {
    let cat = |pad| Tokenizer::clip(pad, 5).unwrap().encode("a cat").unwrap().ids;
    assert_eq!(cat("<|endoftext|>"), [49_406, 320, 2368, 49_407, 49_407]);
    let empty = Tokenizer::clip("!", 5).unwrap().encode("").unwrap();
    assert_eq!((empty.ids, empty.eos_position), (vec![49_406, 49_407, 0, 0, 0], 1));
    let error = Tokenizer::clip("<pad>", 77).err().expect("no such token");
    assert!(error.to_string().contains("<pad>"), "{error}");
}

#[test]
fn padding_of_stable_diffusion_2() {
    let (folder, golden) = (Folder::read(), golden());
    let object = br#"{"pad_token": {"content": "!", "lstrip": false, "normalized": false}}"#;
    for map in [&br#"{"pad_token": "!"}"#[..], object] {
        for files in [folder.whole(), folder.pair()] {
            let files = TokenizerFiles { special_tokens_map: Some(map), ..files };
            let tokenizer = Tokenizer::new(&files, 77).unwrap();
            let wrong = differences(&tokenizer, &golden.exclamation_texts, golden.exclamation_pad);
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        }
    }
    // The configuration wins if it lists the added tokens.
    let config = br#"{"added_tokens_decoder": {}, "pad_token": "<|endoftext|>"}"#;
    let files = TokenizerFiles {
        tokenizer_config: Some(config),
        special_tokens_map: Some(object),
        ..folder.whole()
    };
    let ids = Tokenizer::new(&files, 5).unwrap().encode("").unwrap().ids;
    assert_eq!(ids[1..], [golden.pad; 4]);
}

#[test]
fn ids_equal_those_of_the_embedded_model() {
    let bytes = model_file("golden/golden.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tokenizer = Tokenizer::new(&Folder::read().whole(), 32).unwrap();
    for (name, text) in [("input_ids", "a red apple"), ("uncond_input_ids", "")] {
        let tensor = tensors.tensor(name).unwrap();
        let bytes_per_id = tensor.data().len() / tensor.shape().iter().product::<usize>();
        let ids: Vec<u32> = tensor
            .data()
            .chunks_exact(bytes_per_id)
            .map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]]))
            .collect();
        assert_eq!(tokenizer.encode(text).unwrap().ids, ids, "{name}");
    }
}

#[test]
fn what_does_not_fit_is_reported() {
    let tokenizer = Tokenizer::new(&Folder::read().whole(), 77).unwrap();
    let short = tokenizer.encode("a red apple").unwrap();
    assert_eq!(short.truncated, None);
    assert_eq!(short.ids[short.eos_position], short.ids[31]);
    assert_eq!(short.eos_position, short.tokens + 1);

    let long = tokenizer.encode(&format!("{}Ünd then", "apple ".repeat(30))).unwrap();
    assert_eq!(long.truncated.as_deref(), Some("Ünd then"));
    assert_eq!((long.ids.len(), long.eos_position), (32, 31));

    let words = tokenizer.encode(&"red apple ".repeat(500)).unwrap();
    assert_eq!(words.tokens, 1000);
    assert_eq!(words.truncated.unwrap().split(' ').count(), 970);

    // Cut inside characters of several bytes, and without any space.
    for text in ["🫠".repeat(40), "é\u{301}".repeat(60), "漢".repeat(99), "a".repeat(200_000)] {
        let cut = tokenizer.encode(&text).unwrap().truncated.expect("too long");
        assert!(text.ends_with(&cut) && cut.len() < text.len());
    }
}

#[test]
fn the_smaller_length_wins() {
    let folder = Folder::read();
    let huge = br#"{"model_max_length": 1000000000000000019884624838656}"#;
    let none = br#"{"model_max_length": null}"#;
    for (config, max_length, want) in
        [(&folder.config[..], 77, 32), (&folder.config, 16, 16), (huge, 77, 77), (none, 20, 20)]
    {
        let files = TokenizerFiles { tokenizer_config: Some(config), ..folder.whole() };
        let tokenizer = Tokenizer::new(&files, max_length).unwrap();
        assert_eq!(tokenizer.max_length(), want);
        assert_eq!(tokenizer.encode("x").unwrap().ids.len(), want);
        assert_eq!(tokenizer.vocab_size(), 2023);
    }
}

#[test]
fn bad_files_are_named() {
    use ErrorKind::*;
    let folder = Folder::read();
    let (whole, pair) = (folder.whole(), folder.pair());
    let vocab = |json| TokenizerFiles { vocab_json: Some(json), ..pair };
    let merges = |text| TokenizerFiles { merges_txt: Some(text), ..pair };
    let json = |json| TokenizerFiles { tokenizer_json: Some(json), ..whole };
    let config = |json| TokenizerFiles { tokenizer_config: Some(json), ..whole };
    let map = |json| TokenizerFiles { special_tokens_map: Some(json), ..whole };
    let small = br#"{"model": {"type": "BPE", "end_of_word_suffix": "</w>",
        "vocab": {"a": 0, "b": 1, "c": 1, "<|startoftext|>": 2, "<|endoftext|>": 3}, "merges": []}}"#;
    let far = br#"{"model": {"type": "BPE", "end_of_word_suffix": "</w>",
        "vocab": {"<|startoftext|>": 0, "<|endoftext|>": 1}, "merges": []},
        "added_tokens": [{"id": 9, "content": "x", "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": true}]}"#;
    let cases = [
        (TokenizerFiles::default(), NotFound, "got none of them"),
        (TokenizerFiles { merges_txt: None, ..pair }, NotFound, "got only vocab.json"),
        (TokenizerFiles { vocab_json: None, ..pair }, NotFound, "got only merges.txt"),
        (vocab(b"{\"a\": "), Format, "vocab.json: damaged"),
        (vocab(b"{\"a\": -1}"), Format, "vocab.json: damaged"),
        (vocab(b"{}"), Format, "is not in the vocabulary"),
        (merges(b"#version: 0.2\ng r\ngr\n"), Format, "merges.txt: line 3: expected two tokens"),
        (merges(b"g r x\n"), Format, "merges.txt: line 1"),
        (merges(b"qqq r\n"), Format, "merges.txt: merge 1 (\"qqq\" \"r\"): \"qqq\" is not in"),
        (merges(b"q z\n"), Format, "\"qz\" is not in the vocabulary"),
        (merges(b"\xff"), Format, "merges.txt: not UTF-8"),
        (json(b""), Format, "tokenizer.json: damaged"),
        (json(b"3"), Format, "tokenizer.json: damaged"),
        (json(&folder.tokenizer[..5000]), Format, "tokenizer.json: damaged"),
        (json(b"{\"model\": {\"type\": \"Unigram\"}}"), Unsupported, "got type Unigram"),
        (json(b"{\"model\": {\"type\": \"BPE\"}}"), Unsupported, "end_of_word_suffix \"\""),
        (json(small), Format, "expected an unused id, got 1"),
        (json(far), Format, "expected the next free id 2, got 9"),
        (config(b"{"), Format, "tokenizer_config.json: damaged"),
        (config(b"{\"model_max_length\": \"x\"}"), Format, "tokenizer_config.json: model_max_len"),
        (config(b"{\"model_max_length\": 2}"), Argument, "at least 3 ids"),
        (map(b"[]"), Format, "special_tokens_map.json: damaged"),
        (map(b"{\"pad_token\": 0}"), Format, "special_tokens_map.json: pad_token: expected"),
        (map(b"{\"pad_token\": {}}"), Format, "special_tokens_map.json: pad_token: expected"),
        (
            map(b"{\"bos_token\": \"<s>\"}"),
            Format,
            "special token \"<s>\" is not in the vocabulary",
        ),
    ];
    let mut wrong = Vec::new();
    for (files, kind, message) in cases {
        match Tokenizer::new(&files, 77) {
            Err(error) if error.kind() == kind && error.to_string().contains(message) => {}
            Err(error) => wrong.push(format!("want {kind:?} {message}, got {error:?}")),
            Ok(_) => wrong.push(format!("want {message}, got a tokenizer")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
