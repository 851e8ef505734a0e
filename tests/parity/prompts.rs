//! Prompts whose texts change, that are composed, or that differ between text encoders, against runs by
//! diffusers (`golden/prompts`).

use crate::{bytes, common, json, path};
use croquis::diffusion::{Diffusion, Framing, Request};
use croquis::files::ModelFiles;
use croquis::gpu::Gpu;
use croquis::{SchedulerKind, Storage};
use safetensors::SafeTensors;
use serde_json::Value;

/// The request of a golden run.
fn request(run: &Value) -> Request {
    let text = |key: &str| run[key].as_str().map(String::from);
    let number = |key: &str| run[key].as_u64().map(|value| value as usize);
    let pair = |key: &str| serde_json::from_value::<[usize; 2]>(run[key].clone()).ok();
    let framing = |prefix: &str| Framing {
        original_size: pair(&format!("{prefix}original_size")),
        crop: pair(&format!("{prefix}crops_coords_top_left")).unwrap_or_default(),
        target_size: pair(&format!("{prefix}target_size")),
    };
    let class = run["scheduler"].as_str();
    Request {
        prompt: text("prompt").unwrap(),
        negative_prompt: text("negative_prompt").unwrap(),
        prompt_2: text("prompt_2"),
        negative_prompt_2: text("negative_prompt_2"),
        steps: number("steps"),
        guidance_scale: run["guidance_scale"].as_f64().map(|scale| scale as f32),
        seed: run["seed"].as_u64().unwrap(),
        width: number("width"),
        height: number("height"),
        scheduler: SchedulerKind::ALL.into_iter().find(|kind| class == Some(kind.class_name())),
        framing: framing(""),
        negative_framing: Some(framing("negative_")).filter(|sizes| *sizes != Framing::default()),
        ..Request::default()
    }
}

/// The relative errors of the latents of all runs of a model, by name; for each run those of the
/// expected latents of all others too.
fn errors(gpu: &Gpu, model: &str) -> Vec<(String, String, f64)> {
    let file = bytes("tests/golden/prompts/golden.safetensors");
    let golden = SafeTensors::deserialize(&file).unwrap();
    let description = json("tests/golden/prompts/golden.json");
    let runs = description["runs"].as_object().unwrap();
    let runs = || runs.iter().filter(|(_, run)| run["model"] == model);
    let files = ModelFiles::folder(path(&format!("tests/golden/{model}"))).unwrap();
    let mut diffusion = Diffusion::open(gpu, &files).unwrap();
    let mut errors = Vec::new();
    for (name, run) in runs() {
        let got = diffusion.generate_blocking(&request(run)).unwrap();
        assert!(got.notes.is_empty(), "{name}: {:?}", got.notes);
        for (other, _) in runs() {
            let expected = common::golden(&golden, other).1;
            let error = common::relative_l2(&got.latents, &expected);
            errors.push((name.clone(), other.clone(), error));
        }
    }
    errors
}

#[test]
fn runs_equal_those_of_diffusers() {
    let mut failures = Vec::new();
    for gpu in common::gpus() {
        let allowed = if gpu.target().storage == Storage::F32 { 1e-4 } else { 2e-2 };
        for (model, count) in [("sd1-tiny", 6), ("sdxl-tiny", 6)] {
            let errors = errors(gpu, model);
            assert_eq!(errors.len(), count * count, "{model}");
            for (name, other, error) in errors {
                // The comparison tells each run from all others.
                if (error <= allowed) != (name == other) {
                    failures.push(format!(
                        "{}: {name} and the expected {other}: relative error {error:.2e}",
                        common::name(gpu)
                    ));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn texts_that_do_not_change_are_the_plain_run() {
    let gpu = &common::gpus()[0];
    let files = ModelFiles::folder(path("tests/golden/sd1-tiny")).unwrap();
    let mut diffusion = Diffusion::open(gpu, &files).unwrap();
    let mut latents = |prompt: &str, plain: bool| {
        let mut request = Request::new(prompt).size(64, 64).steps(3).seed(1).guidance_scale(4.0);
        request.plain_prompts = plain;
        diffusion.generate_blocking(&request).unwrap().latents
    };
    let plain = latents("a red apple", true);
    assert_eq!(latents("a red apple", false), plain);
    assert_eq!(latents("a [blue:red:0] apple", false), plain);
    assert_eq!(latents("a [red|red] apple", false), plain);
    assert_ne!(latents("a [red|blue] apple", false), plain);
    assert_ne!(latents("a [blue:red:0] apple", true), plain);
}

#[test]
fn a_second_prompt_needs_a_second_encoder() {
    let model = |name: &str| {
        let files = ModelFiles::folder(path(&format!("tests/golden/{name}"))).unwrap();
        croquis::Model::open(&files).unwrap()
    };
    let mut request = Request::new("a");
    request.prompt_2 = Some("b".into());
    let error = model("sd1-tiny").check(&request).expect_err("an error").to_string();
    assert!(error.contains("expected a model with two text encoders"), "{error}");
    model("sdxl-tiny").check(&request).unwrap();
    request.prompt_2 = Some("a".into());
    model("sd1-tiny").check(&request).unwrap();
    let composed = Request::new("a AND b");
    let files = crate::runs::with_scheduler("lcm-tiny")(&Value::Null);
    let distilled = croquis::Model::open(&files).unwrap();
    let error = distilled.check(&composed).expect_err("an error").to_string();
    assert!(error.contains("AND composes prompts by guidance"), "{error}");
}
