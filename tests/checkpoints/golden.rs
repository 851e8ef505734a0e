//! The tiny single files of `tests/golden/single`, against what diffusers made of the same weights:
//! configurations, quantised twins, and a whole run.

#[path = "../common/mod.rs"]
mod common;

use croquis::checkpoint::Checkpoint;
use croquis::diffusion::{Diffusion, Model, ModelFiles, Request};
use croquis::shape::Storage;
use croquis::weights::Weights;
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/single").join(file)
}

fn checkpoint(file: &str) -> Checkpoint {
    Checkpoint::new(file, Weights::open(path(file)).expect(file)).expect(file)
}

fn golden(model: &str) -> Value {
    let file = format!("{model}.golden.json");
    serde_json::from_slice(&std::fs::read(path(&file)).expect(&file)).expect(&file)
}

/// What the tiny models have otherwise than the published ones that they are small copies of:
/// sizes of pictures, ids of their small vocabularies, and keys that change nothing.
const OTHERWISE: [&str; 6] = [
    "sample_size",
    "force_upcast",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "projection_dim",
];

/// Numbers that stand for all levels are the same as a list of them.
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

/// stable-diffusion.cpp's layout, and ComfyUI's, which has no prefix.
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

/// From a prompt to latents, with the configurations and the tokenizer that the file lacks.
#[test]
fn a_single_file_draws_what_diffusers_draws() {
    let golden = golden("sd1");
    let run = &golden["runs"]["txt2img.pndm"];
    let file = std::fs::read(path("sd1.golden.safetensors")).expect("golden values");
    let values = SafeTensors::deserialize(&file).expect("golden values");
    let (_, expected) = common::golden(&values, "txt2img.pndm.latents");
    let number = |key: &str| run[key].as_u64().map(|value| value as usize);
    let request = |seed| Request {
        prompt: run["prompt"].as_str().expect("a prompt").into(),
        guidance_scale: run["guidance_scale"].as_f64().map(|scale| scale as f32),
        seed,
        steps: number("num_inference_steps"),
        width: number("width"),
        height: number("height"),
        ..Request::default()
    };
    let seed = run["seed"].as_u64().expect("a seed");
    for gpu in common::gpus() {
        let files = ModelFiles::open(path("sd1.safetensors")).expect("a file");
        let mut diffusion = Diffusion::open(gpu, &files).expect("a model");
        let mut error = |seed| {
            let generated = diffusion.generate_blocking(&request(seed)).expect("a picture");
            common::relative_l2(&generated.latents, &expected)
        };
        let allowed = if gpu.target().storage == Storage::F32 { 1e-4 } else { 2e-2 };
        let (right, wrong) = (error(seed), error(seed + 1));
        println!("{}: {right:.2e}", common::name(gpu));
        assert!(right < allowed, "{}: {right:.2e}, allowed {allowed:.0e}", common::name(gpu));
        assert!(wrong > allowed, "another seed: {wrong:.2e}");
    }
}
