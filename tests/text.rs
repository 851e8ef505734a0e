//! Text embeddings of prompts against diffusers and stable-diffusion-webui (`golden/text-tiny`), on
//! every device: clip skip, two encoders, long prompts, weights, textual inversion.

mod common;

use croquis::ErrorKind;
use croquis::Storage;
use croquis::files::ModelFiles;
use croquis::gpu::Gpu;
use croquis::internal::components::{TextEmbeddings, TextEncoder, TextOptions, TextualInversion};
use croquis::internal::families::{Family, sd1, sd2, sdxl};
use croquis::internal::graph::Plan;
use croquis::internal::kernels::Target;
use safetensors::SafeTensors;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    #[serde(default)]
    comma_backtrack: usize,
    /// `force_zeros_for_empty_prompt`.
    zeros: Option<bool>,
    /// The second encoder's `eos_token_id`.
    eos: Option<u32>,
    /// Textual inversion files.
    #[serde(default)]
    words: Vec<String>,
}

/// The family of a model by its name in the golden file.
fn family(model: &str) -> &'static Family {
    match model {
        "xl" => &sdxl::FAMILY,
        "sd2" => &sd2::FAMILY,
        _ => &sd1::FAMILY,
    }
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).expect(name)
}

/// The files of a model: one or two encoders, and the tokenizers of sd1-tiny and sd2-tiny.
fn files(model: &str, eos: Option<u32>, zeros: Option<bool>) -> ModelFiles {
    files_but(model, eos, zeros, "-")
}

/// [`files`] without those of the folder `missing`.
fn files_but(model: &str, eos: Option<u32>, zeros: Option<bool>, missing: &str) -> ModelFiles {
    let mut files = Vec::new();
    let mut add = |to: &str, bytes: Vec<u8>| {
        if !to.starts_with(missing) {
            files.push((to.to_string(), bytes.into()));
        }
    };
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

/// The differences between the embeddings of a case and the reference.
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
    let mut encoder =
        TextEncoder::open(&family(&case.model).text, &files(&case.model, case.eos, case.zeros))
            .unwrap();
    for word in &case.words {
        let file = path(&format!("text-tiny/{word}.safetensors"));
        encoder.add_embedding(&TextualInversion::open(file).unwrap()).unwrap();
    }
    let texts: Vec<_> = case.texts.iter().map(|text| [text.as_str(); 2]).collect();
    let options = TextOptions {
        skip: case.skip,
        plain: case.plain,
        negatives: usize::from(case.negative),
        comma_backtrack: case.comma_backtrack,
    };
    let read = encoder.read(&texts, options).unwrap();
    let tokens = read.tokens;
    let got = gpu.block_on(encoder.encode(gpu, &read)).unwrap();
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

/// The kind and the message of an expected error.
fn refused<T>(result: croquis::Result<T>) -> (ErrorKind, String) {
    let error = result.err().expect("an error");
    (error.kind(), error.to_string())
}

#[test]
fn words_that_do_not_fit_are_refused() {
    let open = |name: &str| {
        TextualInversion::open(path(&format!("text-tiny/{name}.safetensors"))).unwrap()
    };
    let mut sd = TextEncoder::open(&family("sd").text, &files("sd", None, None)).unwrap();
    let mut xl = TextEncoder::open(&family("xl").text, &files("xl", None, None)).unwrap();
    let (style, pair) = (open("My-Style"), open("pair-xl"));
    assert_eq!((style.placeholder(), style.rows()), ("My-Style", 3));
    assert_eq!((open("word").placeholder(), open("word").rows()), ("<Cat-Toy>", 1));
    assert_eq!((pair.placeholder(), pair.rows()), ("pair-xl", 2));
    for (result, want) in [
        (sd.add_embedding(&pair), "\"pair-xl\": expected vectors of width [24], got [24, 40]"),
        (xl.add_embedding(&style), "\"My-Style\": expected vectors of width [24, 40], got [24]"),
    ] {
        let (kind, message) = refused(result);
        assert!(kind == ErrorKind::Weights && message.contains(want), "{message}");
    }

    let tensor = |name: &str, shape: Vec<usize>, value: f32| {
        let count = shape.iter().product();
        let bytes: Vec<u8> =
            vec![value; count].iter().flat_map(|value| value.to_le_bytes()).collect();
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &bytes).unwrap();
        safetensors::serialize([(name, view)], None).unwrap()
    };
    let named = |name: &str, bytes: Vec<u8>| TextualInversion::from_bytes(name, bytes);
    sd.add_embedding(&named("w.safetensors", tensor("emb_params", vec![75, 24], 0.0)).unwrap())
        .unwrap();
    let long = named("w.safetensors", tensor("emb_params", vec![76, 24], 0.0)).unwrap();
    let (_, message) = refused(sd.add_embedding(&long));
    assert!(message.contains("expected at most 75 vectors, got 76"), "{message}");
    for (result, kind, want) in [
        (
            named("a/w.pt", vec![0; 9]),
            ErrorKind::Unsupported,
            "a/w.pt: expected a .safetensors file",
        ),
        (named("w", b"PK\x03\x04 archive".to_vec()), ErrorKind::Unsupported, "Python pickle"),
        (named("w.safetensors", b"PK\x03\x04 archive".to_vec()), ErrorKind::Unsupported, "convert"),
        (named("w.safetensors", vec![1, 2, 3]), ErrorKind::Format, "truncated"),
        (
            named("w", tensor("x", vec![2, 3, 4], 0.0)),
            ErrorKind::Weights,
            "expected shape [D] or [n, D]",
        ),
        (named("w", tensor("x", vec![0, 4], 0.0)), ErrorKind::Weights, "got [0, 4]"),
        (named("w", tensor("x", vec![4], f32::NAN)), ErrorKind::Weights, "expected finite values"),
        (named("w", tensor(" ", vec![4], 0.0)), ErrorKind::Argument, "expected a word"),
        (named("w", read("text-tiny/golden.safetensors")), ErrorKind::Format, "expected a textual"),
    ] {
        let (got, message) = refused(result);
        assert!(got == kind && message.contains(want), "{got:?}: {message}");
    }
}

#[test]
fn the_last_word_of_a_name_counts() {
    let gpu = &common::gpus()[0];
    let mut encoder = TextEncoder::open(&family("sd").text, &files("sd", None, None)).unwrap();
    let options = TextOptions::default();
    let mut encode = |word: Option<&str>| {
        if let Some(word) = word {
            let word =
                TextualInversion::open(path(&format!("text-tiny/{word}.safetensors"))).unwrap();
            encoder.add_embedding(&word.with_placeholder("Red").unwrap()).unwrap();
        }
        let texts = encoder.read(&[["a red cat"; 2]], options).unwrap();
        gpu.block_on(encoder.encode(gpu, &texts)).unwrap().values
    };
    let (none, first, second) = (encode(None), encode(Some("My-Style")), encode(Some("word")));
    assert!(none != first && first != second && none != second);
}

/// The plans that encode a text with `skip` layers skipped.
fn plans(encoder: &TextEncoder, skip: usize) -> croquis::Result<Vec<(&'static str, Arc<Plan>)>> {
    let texts = encoder.read(&[["a"; 2]], TextOptions { skip, ..Default::default() })?;
    encoder.plans(&texts, &Target::webgpu(Storage::F32))
}

#[test]
fn layers_that_are_not_there_cannot_be_left_out() {
    for (model, layers) in [("sd", 4), ("xl", 3)] {
        let encoder = TextEncoder::open(&family(model).text, &files(model, None, None)).unwrap();
        let plans = |skip| plans(&encoder, skip);
        assert!(plans(layers - 1).is_ok());
        let (kind, message) = refused(plans(layers));
        assert_eq!(kind, ErrorKind::Argument);
        assert!(
            message.contains("clip skip: expected to skip fewer than the 4 layers"),
            "{message}"
        );
    }
}

#[test]
fn weights_without_influence_stay_off_the_gpu() {
    let weights = |model: &str, skip, prefix: &str| {
        let encoder = TextEncoder::open(&family(model).text, &files(model, None, None)).unwrap();
        let needed = |plan: &Plan| plan.weights.iter().any(|w| w.name.starts_with(prefix));
        let plans = plans(&encoder, skip).unwrap();
        plans.iter().map(|(_, plan)| needed(plan)).collect::<Vec<_>>()
    };
    assert_eq!(weights("sd", 0, "encoder.layers.3."), [true]);
    assert_eq!(weights("sd", 1, "encoder.layers.3."), [false]);
    assert_eq!(weights("sd", 1, "final_layer_norm."), [true]);
    // Of XL's encoders, the second needs all for the pooled embeddings.
    assert_eq!(weights("xl", 0, "encoder.layers.3."), [false, true]);
    assert_eq!(weights("xl", 0, "encoder.layers.4."), [false, true]);
    assert_eq!(weights("xl", 0, "final_layer_norm."), [false, true]);
    assert_eq!(weights("xl", 0, "embeddings."), [false, false]);
}

#[test]
fn long_prompts_are_noted_and_the_second_tokenizer_may_be_missing() {
    let golden: Golden = serde_json::from_slice(&read("text-tiny/golden.json")).unwrap();
    let file = read("text-tiny/golden.safetensors");
    let file = SafeTensors::deserialize(&file).unwrap();
    let case = golden.cases.iter().find(|case| case.name == "xl.long").unwrap();
    let texts: Vec<_> = case.texts.iter().map(|text| [text.as_str(); 2]).collect();
    let gpu = &common::gpus()[0];
    let mut encoder =
        TextEncoder::open(&family("xl").text, &files_but("xl", None, None, "tokenizer_2/"))
            .unwrap();
    let texts = encoder.read(&texts, TextOptions::default()).unwrap();
    let got = gpu.block_on(encoder.encode(gpu, &texts)).unwrap();
    let problems = compare(&file, "xl.long", &got, 1e-2);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(got.notes.len(), 1, "{:?}", got.notes);
    assert!(got.notes[0].contains("in 3 chunks of up to 75"), "{:?}", got.notes);
}

#[test]
fn the_second_encoder_alone() {
    let refiner = files_but("xl", None, None, "text_encoder/");
    let encoder = TextEncoder::open(&family("xl").text, &refiner).unwrap();
    assert_eq!((encoder.width(), encoder.pooled_width()), (40, Some(36)));
    let (kind, message) = refused(TextEncoder::open(
        &family("sd").text,
        &files_but("sd", None, None, "text_encoder/"),
    ));
    assert!(
        kind == ErrorKind::NotFound && message.contains("text_encoder/config.json"),
        "{message}"
    );
}
