//! The tiny single files of `tests/golden/single` against diffusers with the same weights:
//! configurations, quantised copies, and a whole run.

use crate::common;
use croquis::Storage;
use croquis::diffusion::{Diffusion, Model, Request};
use croquis::files::ModelFiles;
use croquis::files::checkpoint::Checkpoint;
use croquis::gpu::Gpu;
use croquis::internal::weights::Weights;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/single").join(file)
}

fn checkpoint(file: &str) -> Checkpoint {
    Checkpoint::new(file, Weights::open(path(file)).expect(file)).expect(file)
}

fn golden(model: &str) -> Value {
    let file = format!("{model}.golden.json");
    serde_json::from_slice(&std::fs::read(path(&file)).expect(&file)).expect(&file)
}

/// Configuration keys in which the tiny models differ from the published ones: picture sizes, ids
/// of their small vocabularies, and keys without effect.
const OTHERWISE: [&str; 6] = [
    "sample_size",
    "force_upcast",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "projection_dim",
];

/// Whether two values are equal, where a number for all levels equals a list of it.
fn same(got: &Value, want: &Value) -> bool {
    match (got, want) {
        (Value::Array(got), one) if !one.is_array() => got.iter().all(|got| same(got, one)),
        _ => got == want || got.as_f64().is_some() && got.as_f64() == want.as_f64(),
    }
}

#[test]
fn configurations_are_those_of_diffusers() {
    for model in ["sd1", "sd2", "sdxl"] {
        let checkpoint = checkpoint(&format!("{model}.safetensors"));
        assert!(checkpoint.unknown.is_empty(), "{model}: {:?}", checkpoint.unknown);
        assert_eq!(checkpoint.missing(), [""; 0], "{model}");
        let golden = golden(model);
        let run = golden["runs"].as_object().expect(model).values().next().expect(model);
        let mut wanted = golden["configs"].clone();
        wanted["scheduler"] = run["scheduler"].clone();
        let (mut checked, mut wrong) = (0, Vec::new());
        for (component, want) in wanted.as_object().expect(model) {
            let name = if component == "scheduler" { "scheduler_config" } else { "config" };
            let text = &checkpoint.texts[&format!("{component}/{name}.json")];
            let got: Value = serde_json::from_slice(text).expect(component);
            for (key, want) in want.as_object().expect(component) {
                let Some(got) = got.get(key).filter(|_| !OTHERWISE.contains(&key.as_str())) else {
                    continue;
                };
                checked += 1;
                if !same(got, want) {
                    wrong.push(format!("{model}: {component}: {key}: {want}, got {got}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(checked > 30, "{model}: {checked} keys");
    }
    assert!(!same(&serde_json::json!([1, 2]), &1.into()) && !same(&2.into(), &1.into()));
}

/// The GGUF layouts of stable-diffusion.cpp and of ComfyUI, which has no prefix.
#[test]
fn quantised_denoisers_have_the_same_tensors() {
    let shapes = |weights: &Weights| -> Vec<(String, Vec<usize>)> {
        let shape = |name: &str| weights.shape(name).expect(name).to_vec();
        weights.names().map(|name| (name.to_string(), shape(name))).collect()
    };
    let whole = checkpoint("sd1.safetensors");
    for file in ["sd1-q8_0.gguf", "sd1-q4_0.gguf"] {
        let quantised = checkpoint(file);
        assert_eq!(quantised.kind, whole.kind, "{file}");
        assert!(quantised.unknown.is_empty(), "{file}: {:?}", quantised.unknown);
        assert_eq!(quantised.missing(), ["vae", "text_encoder"], "{file}");
        assert_eq!(shapes(&quantised.weights["unet"]), shapes(&whole.weights["unet"]), "{file}");
        let summary = ModelFiles::open(path(file)).expect(file).summary().expect(file);
        assert_eq!(summary.components.len(), 1, "{file}");
    }
}

#[test]
fn whole_models_open() {
    for model in ["sd1", "sd2", "sdxl"] {
        let files = ModelFiles::open(path(&format!("{model}.safetensors"))).expect(model);
        let summary = files.summary().expect(model);
        assert_eq!(summary.components.len(), if model == "sdxl" { 4 } else { 3 }, "{model}");
        let unet = summary.components.iter().find(|part| part.name == "unet").expect(model);
        assert_eq!(unet.file_bytes, 2 * unet.parameters, "{model}: halves in the file");
        assert!(unet.gpu_bytes(Storage::F32) >= 4 * unet.parameters, "{model}");
        assert!(Model::open(&files).is_ok(), "{model}: {:?}", Model::open(&files).err());
    }
}

/// A `merges.txt` as large as a tiny text encoder's vocabulary, with the words `x`, `y` and `z` as
/// the tokens of the golden runs.
fn small_vocabulary() -> Vec<u8> {
    let words = [("!", 0), ("x</w>", 7), ("z</w>", 41), ("y</w>", 300)];
    let ends = [("<|startoftext|>", 510), ("<|endoftext|>", 511)];
    let mut vocabulary: serde_json::Map<String, Value> =
        words.iter().chain(&ends).map(|(word, id)| (word.to_string(), (*id).into())).collect();
    let taken = |id: usize| words.iter().chain(&ends).any(|(_, taken)| *taken == id);
    let others = (0..512).filter(|id| !taken(*id));
    vocabulary.extend(others.map(|id| (format!("other{id}"), id.into())));
    Value::Object(vocabulary).to_string().into_bytes()
}

/// A model of `tests/golden/single`. All but the first have text encoders too small for CLIP's
/// vocabulary; the reference of XL encodes an empty negative prompt as a text.
pub fn files(model: &str, edit: impl Fn(&mut BTreeMap<String, Vec<u8>>)) -> ModelFiles {
    let Checkpoint { mut texts, weights, .. } = checkpoint(&format!("{model}.safetensors"));
    if model != "sd1" {
        texts.insert("tokenizer/vocab.json".into(), small_vocabulary());
        texts.insert("tokenizer/merges.txt".into(), b"#version: 0.2\n".to_vec());
    }
    if model == "sdxl" {
        change(&mut texts, "model_index.json", "force_zeros_for_empty_prompt", false.into());
    }
    edit(&mut texts);
    ModelFiles::parts(model, texts, weights)
}

/// Sets a key of a configuration.
fn change(texts: &mut BTreeMap<String, Vec<u8>>, file: &str, key: &str, value: Value) {
    let text = texts.get_mut(file).expect(file);
    let mut config: Value = serde_json::from_slice(text).expect(file);
    assert!(config.get(key).is_some_and(|old| *old != value), "{file}: {key}");
    config[key] = value;
    *text = config.to_string().into_bytes();
}

/// The relative L2 error of a run's latents.
pub fn error_of_run(gpu: &Gpu, files: &ModelFiles, model: &str, name: &str) -> f64 {
    let golden = golden(model);
    let run = &golden["runs"][name];
    let file = std::fs::read(path(&format!("{model}.golden.safetensors"))).expect(model);
    let values = SafeTensors::deserialize(&file).expect(model);
    let (_, expected) = common::golden(&values, &format!("{name}.latents"));
    let number = |key: &str| run[key].as_u64().map(|value| value as usize);
    let request = Request {
        prompt: run["prompt"].as_str().unwrap_or("x y z").into(),
        guidance_scale: run["guidance_scale"].as_f64().map(|scale| scale as f32),
        seed: run["seed"].as_u64().expect(name),
        steps: number("num_inference_steps"),
        width: number("width"),
        height: number("height"),
        ..Request::default()
    };
    let mut diffusion = Diffusion::open(gpu, files).expect(model);
    let generated = diffusion.generate_blocking(&request).expect(model);
    common::relative_l2(&generated.latents, &expected)
}

const RUNS: [(&str, &str); 3] =
    [("sd1", "txt2img.pndm"), ("sd2", "txt2img.ddim"), ("sdxl", "txt2img.euler")];

fn allowed(gpu: &Gpu) -> f64 {
    if gpu.target().storage == Storage::F32 { 1e-4 } else { 2e-2 }
}

/// Runs from prompt to latents, with the inferred configurations and the built-in tokenizer.
#[test]
fn single_files_draw_what_diffusers_draws() {
    let mut wrong = Vec::new();
    for (model, run) in RUNS {
        let files = files(model, |_| ());
        for gpu in common::gpus() {
            let error = error_of_run(gpu, &files, model, run);
            println!("{model} on {}: {error:.2e}", common::name(gpu));
            if error > allowed(gpu) {
                wrong.push(format!("{model} on {}: {error:.2e}", common::name(gpu)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// For each model, one wrong configuration is detected.
#[test]
fn a_wrong_configuration_is_detected() {
    let storage = |gpu: &&Gpu| gpu.target().storage == Storage::F32;
    let gpu = common::gpus().iter().find(storage).expect("every adapter has f32");
    let cases = [
        ("sd1", "unet/config.json", "attention_head_dim", json!(4)),
        ("sd2", "scheduler/scheduler_config.json", "prediction_type", json!("epsilon")),
        ("sd2", "text_encoder/config.json", "hidden_act", json!("quick_gelu")),
        ("sdxl", "unet/config.json", "attention_head_dim", json!([1, 1, 2])),
        ("sdxl", "text_encoder_2/config.json", "num_attention_heads", json!(2)),
        ("sdxl", "scheduler/scheduler_config.json", "timestep_spacing", json!("trailing")),
    ];
    for (model, file, key, value) in cases {
        let files = files(model, |texts| change(texts, file, key, value.clone()));
        let run = RUNS.iter().find(|(name, _)| *name == model).expect(model).1;
        let error = error_of_run(gpu, &files, model, run);
        assert!(error > 10.0 * allowed(gpu), "{model}: {file}: {key}: {error:.2e}");
    }
}
