//! XL's refiner against diffusers: alone on pictures, and going on with the latents of the first
//! model (`tests/golden/fixtures/refiner.py`).

use crate::{bytes, common, json, path};
use croquis::diffusion::{Diffusion, Progress, Request};
use croquis::files::{ModelFiles, Source};
use croquis::picture::Picture;
use croquis::{ErrorKind, Gpu, SchedulerKind, Storage};
use safetensors::SafeTensors;
use serde_json::Value;
use std::ops::ControlFlow;

const FOLDER: &str = "tests/golden/refiner-tiny";

/// The refiner's files; its text encoder, tokenizer and autoencoder are those of sdxl-tiny.
fn refiner_files() -> ModelFiles {
    let (own, base) = (FOLDER, "tests/golden/sdxl-tiny");
    let files = [
        (own, "model_index.json"),
        (own, "scheduler/scheduler_config.json"),
        (own, "unet/config.json"),
        (own, "unet/diffusion_pytorch_model.safetensors"),
        (base, "text_encoder_2/config.json"),
        (base, "text_encoder_2/model.safetensors"),
        (base, "tokenizer_2/vocab.json"),
        (base, "tokenizer_2/merges.txt"),
        (base, "tokenizer_2/tokenizer_config.json"),
        (base, "tokenizer_2/special_tokens_map.json"),
        (base, "vae/config.json"),
        (base, "vae/diffusion_pytorch_model.safetensors"),
    ];
    let read = |(folder, file): (&str, &str)| -> (String, Source) {
        (file.to_string(), bytes(&format!("{folder}/{file}")).into())
    };
    ModelFiles::memory("refiner-tiny", files.map(read))
}

fn refiner(gpu: &Gpu) -> Diffusion {
    Diffusion::open(gpu, &refiner_files()).unwrap()
}

fn base(gpu: &Gpu) -> Diffusion {
    Diffusion::open(gpu, &ModelFiles::open(path("tests/golden/sdxl-tiny")).unwrap()).unwrap()
}

/// The request of a golden run, without the picture or the latents that it starts from.
fn request(run: &Value) -> Request {
    let number = |key: &str| run[key].as_u64().map(|value| value as usize);
    let share = |key: &str| run[key].as_f64().map(|value| value as f32);
    let class = run["scheduler"]["_class_name"].as_str();
    Request {
        prompt: run["prompt"].as_str().unwrap().into(),
        negative_prompt: run["negative_prompt"].as_str().unwrap_or_default().into(),
        guidance_scale: share("guidance_scale"),
        seed: run["seed"].as_u64().unwrap(),
        steps: number("num_inference_steps"),
        width: number("width"),
        height: number("height"),
        scheduler: SchedulerKind::ALL.into_iter().find(|kind| class == Some(kind.class_name())),
        denoising_start: share("denoising_start"),
        denoising_end: share("denoising_end"),
        ..Request::default()
    }
}

fn picture(golden: &SafeTensors<'_>) -> Picture {
    let (shape, values) = common::golden(golden, "img2img.input");
    let values = common::nhwc(&shape, &values);
    let rgb = values.iter().map(|value| ((value + 1.0) / 2.0 * 255.0).round() as u8).collect();
    Picture::new(shape[3], shape[2], rgb).unwrap()
}

fn on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Checks latents against those of a run, and that they differ from those of another.
fn check(golden: &SafeTensors<'_>, gpu: &Gpu, run: &str, got: &[f32], other: &str) {
    let allowed = if gpu.target().storage == Storage::F32 { 1e-4 } else { 8e-3 };
    let error =
        |run: &str| common::relative_l2(got, &common::golden(golden, &format!("{run}.latents")).1);
    println!("{}: {run}: {:.1e}", common::name(gpu), error(run));
    assert!(error(run) < allowed, "{}: {run}: {:.2e}", common::name(gpu), error(run));
    assert!(error(other) > 1.25 * allowed, "{other} differs from {run}: {:.2e}", error(other));
}

#[test]
fn the_refiner_alone_changes_pictures() {
    let file = bytes(&format!("{FOLDER}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let runs = &json(&format!("{FOLDER}/golden.json"))["runs"];
    for gpu in common::gpus() {
        let mut refiner = refiner(gpu);
        for (run, other) in [
            ("img2img.euler", "img2img.unguided"),
            ("img2img.unguided", "img2img.euler"),
            ("started.euler", "img2img.euler"),
        ] {
            let strength = runs[run]["strength"].as_f64().unwrap_or(1.0);
            let request = request(&runs[run]).image(picture(&golden), strength as f32);
            let generated = refiner.generate_blocking(&request).unwrap();
            check(&golden, gpu, run, &generated.latents, other);
        }
    }
}

#[test]
fn the_refiner_goes_on_where_the_first_model_stopped() {
    let file = bytes(&format!("{FOLDER}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let runs = &json(&format!("{FOLDER}/golden.json"))["runs"];
    for gpu in common::gpus() {
        let (mut base, mut refiner) = (base(gpu), refiner(gpu));
        for name in ["euler", "ancestral", "heun", "dpmpp_2m"] {
            let [first, second] = ["base", "refined"].map(|model| format!("{model}.{name}"));
            // Each model by itself.
            let mut alone = request(&runs[&first]);
            let stopped = base.generate_blocking(&alone).unwrap();
            check(&golden, gpu, &first, &stopped.latents, &second);
            let mut rest = request(&runs[&second]);
            (rest.width, rest.height) = (alone.width, alone.height);
            rest.latents = Some(common::golden(&golden, &format!("{first}.latents")).1);
            let refined = refiner.generate_blocking(&rest).unwrap();
            check(&golden, gpu, &second, &refined.latents, &first);

            // Both, told as one run.
            let start = alone.denoising_end.take().unwrap();
            let mut told = Vec::new();
            let progress = |done: &Progress| {
                told.push((done.step, done.steps));
                ControlFlow::Continue(())
            };
            let whole = base.generate_refined(&mut refiner, &alone, start, progress);
            let whole = gpu.block_on(whole).unwrap();
            check(&golden, gpu, &second, &whole.latents, &first);
            assert_eq!((whole.picture.width(), whole.picture.height()), (96, 64));
            let steps = told.len();
            assert!(told.iter().copied().eq((1..=steps).map(|step| (step, steps))), "{told:?}");
        }
    }
}

#[test]
fn models_take_turns_within_a_budget() {
    let gpu = &common::gpus()[0];
    let (mut base, mut refiner) = (base(gpu), refiner(gpu));
    let request = Request::new("a red apple").size(64, 64).steps(4);
    // Every stage fits by itself.
    let stages = [&base, &refiner].map(|diffusion| {
        let plan = diffusion.model().memory(&request, gpu.target()).unwrap();
        plan.stages.iter().map(|stage| stage.bytes()).max().unwrap()
    });
    let needed = stages[0].max(stages[1]);
    let mut both = |bytes: Option<u64>| {
        base.set_memory_budget(bytes);
        refiner.set_memory_budget(bytes);
        gpu.block_on(base.generate_refined(&mut refiner, &request, 0.5, on)).unwrap()
    };
    let free = both(Some(u64::MAX));
    let tight = both(Some(needed));
    assert_eq!(tight.latents, free.latents);
    assert!(tight.peak_bytes <= needed, "{} of {needed} bytes", tight.peak_bytes);
    assert!(free.peak_bytes > tight.peak_bytes, "both were loaded");
}

#[test]
fn impossible_splits_are_refused() {
    let gpu = &common::gpus()[0];
    let (mut base, mut refiner) = (base(gpu), refiner(gpu));
    let mut refused = |change: fn(&mut Request), start: f32| {
        let mut request = Request::new("a red apple").size(64, 64).steps(4);
        change(&mut request);
        let result = gpu.block_on(base.generate_refined(&mut refiner, &request, start, on));
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument, "{error}");
        error.to_string()
    };
    for (start, message) in [
        (0.0, "denoising end: expected a number between 0 and 1, got 0"),
        (1.0, "denoising end: expected a number between 0 and 1, got 1"),
        (f32::NAN, "denoising end: expected a number between 0 and 1, got NaN"),
        (
            0.999,
            "denoising start: expected a number that leaves a step: take more steps, got 0.999",
        ),
        (0.001, "denoising end: expected a number that leaves a step: take more steps, got 0.001"),
    ] {
        assert_eq!(refused(|_| (), start), message);
    }
    let message = refused(|request| request.denoising_end = Some(0.5), 0.5);
    assert!(message.contains("expected a request for all noise levels"), "{message}");
    let request = Request { denoising_start: Some(0.5), ..Request::new("a red apple") };
    let error = refiner.generate_blocking(&request).unwrap_err();
    assert!(error.to_string().contains("expected latents or a picture"), "{error}");
}
