//! Prompts to embeddings against diffusers and stable-diffusion-webui (`golden/text-tiny`), on every
//! device: layers left out, two encoders, long prompts, weights, new words.

mod common;

use croquis::diffusion::{ModelFiles, TextEmbeddings, TextEncoder, TextOptions, TextualInversion};
use croquis::gpu::Gpu;
use croquis::shape::Storage;
use safetensors::SafeTensors;
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    model: String,
    texts: Vec<String>,
    #[serde(default)]
    skip: usize,
    #[serde(default)]
    plain: bool,
    #[serde(default)]
    negative: bool,
    /// `force_zeros_for_empty_prompt`.
    zeros: Option<bool>,
    /// The second encoder's `eos_token_id`.
    eos: Option<u32>,
    /// Files of new words.
    #[serde(default)]
    words: Vec<String>,
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).expect(name)
}

/// The files of a model: one or two encoders, the tokenizers of sd1-tiny and sd2-tiny.
fn files(model: &str, eos: Option<u32>, zeros: Option<bool>) -> ModelFiles {
    let mut files = Vec::new();
    let mut add = |to: &str, bytes: Vec<u8>| files.push((to.to_string(), bytes.into()));
    let tokenizer =
        ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"];
    let first = if model == "sd2" { "sd2-tiny" } else { "sd1-tiny" };
    for (folder, from) in [("tokenizer", first), ("tokenizer_2", "sd2-tiny")] {
        for name in tokenizer.iter().filter(|_| folder == "tokenizer" || model == "xl") {
            add(&format!("{folder}/{name}"), read(&format!("{from}/tokenizer/{name}")));
        }
    }
    for folder in ["text_encoder", "text_encoder_2"] {
        if folder == "text_encoder_2" && model != "xl" {
            continue;
        }
        let weights = format!("{folder}/model.safetensors");
        add(&weights, read(&format!("text-tiny/{weights}")));
        let config = format!("{folder}/config.json");
        let mut value: serde_json::Value =
            serde_json::from_slice(&read(&format!("text-tiny/{config}"))).unwrap();
        if let Some(eos) = eos.filter(|_| folder == "text_encoder_2") {
            value["eos_token_id"] = eos.into();
        }
        add(&config, value.to_string().into_bytes());
    }
    if let Some(zeros) = zeros {
        let index = format!("{{\"force_zeros_for_empty_prompt\": {zeros}}}");
        add("model_index.json", index.into_bytes());
    }
    ModelFiles::memory(model, files)
}

/// What is wrong with the embeddings of a case.
fn compare(
    golden: &SafeTensors<'_>,
    name: &str,
    got: &TextEmbeddings,
    tolerance: f64,
) -> Vec<String> {
    let pooled = got.pooled.as_ref();
    let mut problems = Vec::new();
    let expects_pooled = golden.tensor(&format!("{name}.pooled")).is_ok();
    if pooled.is_some() != expects_pooled {
        problems.push(format!("{name}: expected pooled embeddings: {expects_pooled}"));
    }
    let pairs = [("values", Some(&got.values)), ("pooled", pooled)];
    for (part, got) in pairs.into_iter().filter(|(part, _)| *part == "values" || expects_pooled) {
        let expected = common::golden(golden, &format!("{name}.{part}")).1;
        let error = got.map_or(f64::INFINITY, |got| common::relative_l2(got, &expected));
        if error > tolerance {
            problems.push(format!("{name}.{part}: relative error {error:.2e}"));
        }
    }
    problems
}

fn run(gpu: &Gpu, case: &Case) -> TextEmbeddings {
    let mut encoder = TextEncoder::open(&files(&case.model, case.eos, case.zeros)).unwrap();
    for word in &case.words {
        let file = path(&format!("text-tiny/{word}.safetensors"));
        encoder.add_embedding(&TextualInversion::open(file).unwrap()).unwrap();
    }
    let texts: Vec<_> = case.texts.iter().map(String::as_str).collect();
    let options = TextOptions { skip: case.skip, plain: case.plain, negative: case.negative };
    let tokens = encoder.tokens(&texts, options).unwrap();
    let got = gpu.block_on(encoder.encode(gpu, &texts, options)).unwrap();
    assert_eq!(got.values.len(), texts.len() * tokens * encoder.width(), "{}", case.name);
    let pooled = encoder.pooled_width().map(|width| width * texts.len());
    assert_eq!(got.pooled.as_ref().map(Vec::len), pooled, "{}", case.name);
    got
}

#[test]
fn embeddings_equal_the_references() {
    let golden: Golden = serde_json::from_slice(&read("text-tiny/golden.json")).unwrap();
    let file = read("text-tiny/golden.safetensors");
    let file = SafeTensors::deserialize(&file).unwrap();
    assert!(golden.cases.len() >= 25);
    let mut problems = Vec::new();
    for gpu in common::gpus() {
        let tolerance = if gpu.target().storage == Storage::F32 { 1e-4 } else { 1e-2 };
        for case in &golden.cases {
            let wrong = compare(&file, &case.name, &run(gpu, case), tolerance);
            problems.extend(wrong.iter().map(|wrong| format!("{}: {wrong}", common::name(gpu))));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_comparison_detects_wrong_embeddings() {
    let golden: Golden = serde_json::from_slice(&read("text-tiny/golden.json")).unwrap();
    let file = read("text-tiny/golden.safetensors");
    let file = SafeTensors::deserialize(&file).unwrap();
    let gpu = &common::gpus()[0];
    let case = |name: &str| golden.cases.iter().find(|case| case.name == name).unwrap();
    // Each pair differs in what its names say; a comparison that is blind to it would accept both.
    for (one, other) in [
        ("sd.skip_0", "sd.skip_1"),
        ("sd.skip_0", "sd2"),
        ("xl.skip_0", "xl.skip_1"),
        ("xl.zeros", "xl.no_zeros"),
        ("xl.eos_2", "xl.skip_0"),
    ] {
        let same = compare(&file, other, &run(gpu, case(one)), 1e-2).is_empty();
        // The id 2 in a configuration means the end of the text, whatever its id is.
        assert_eq!(same, one == "xl.eos_2", "{one} and {other}");
    }
    let eos = golden.cases.iter().find(|case| case.eos.is_some_and(|eos| eos > 2)).unwrap();
    let problems = compare(&file, &eos.name, &run(gpu, case("xl.skip_0")), 1e-2);
    assert!(problems.len() == 1 && problems[0].contains(".pooled"), "{problems:?}");
}
