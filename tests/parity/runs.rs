//! Whole runs from prompt to picture against diffusers' pipelines.

use crate::{bytes, common, json, path, to_bytes};
use croquis::SchedulerKind;
use croquis::Storage;
use croquis::diffusion::{
    Control, ControlNet, Diffusion, Framing, Mask, Request, to_channels_first,
};
use croquis::files::ModelFiles;
use croquis::gpu::Gpu;
use croquis::picture::Picture;
use safetensors::SafeTensors;
use serde_json::Value;
use std::ops::ControlFlow;

/// The tolerances: relative L2 error of the final latents, and PSNR of the picture in dB.
fn allowed(storage: Storage) -> (f64, f64) {
    if storage == Storage::F32 { (1e-4, 45.0) } else { (2e-2, 30.0) }
}

/// The request of a golden run.
pub fn request(run: &Value) -> Request {
    let number = |key: &str| run[key].as_u64().map(|value| value as usize);
    let pair = |key: &str| serde_json::from_value::<[usize; 2]>(run[key].clone()).ok();
    // A run without a scheduler of its own uses the model's.
    let class = run["scheduler"]["_class_name"].as_str();
    let scheduler = SchedulerKind::ALL.into_iter().find(|kind| class == Some(kind.class_name()));
    Request {
        prompt: run["prompt"].as_str().unwrap().into(),
        negative_prompt: run["negative_prompt"].as_str().unwrap_or_default().into(),
        guidance_scale: run["guidance_scale"].as_f64().map(|scale| scale as f32),
        guidance_rescale: run["guidance_rescale"].as_f64().unwrap_or(0.0) as f32,
        eta: run["eta"].as_f64().map(|eta| eta as f32),
        seed: run["seed"].as_u64().unwrap(),
        steps: number("num_inference_steps"),
        width: number("width"),
        height: number("height"),
        scheduler,
        framing: Framing {
            original_size: pair("original_size"),
            crop: pair("crops_coords_top_left").unwrap_or_default(),
            target_size: pair("target_size"),
        },
        ..Request::default()
    }
}

/// Runs a golden run on a device; returns the difference, if any.
pub fn check(
    diffusion: &mut Diffusion,
    golden: &SafeTensors<'_>,
    name: &str,
    request: &Request,
) -> Option<String> {
    let gpu = diffusion.gpu().clone();
    let storage = gpu.target().storage;
    let (latent_error, psnr) = allowed(storage);
    let generated = diffusion.generate_blocking(request).unwrap();
    assert_eq!(generated.storage, storage, "no fallback was expected");
    let (shape, latents) = common::golden(golden, &format!("{name}.latents"));
    let error = common::relative_l2(&generated.latents, &latents);
    if error > latent_error {
        return Some(format!(
            "{name}: latents: relative error {error:.2e}, allowed {latent_error:.0e}"
        ));
    }
    if golden.tensor(&format!("{name}.image")).is_ok() {
        let (image_shape, image) = common::golden(golden, &format!("{name}.image"));
        let mut expected = to_bytes(&common::nhwc(&image_shape, &image));
        let image = request.image.as_ref();
        if let Some((old, mask)) =
            image.and_then(|image| Some((&image.picture, image.mask.as_ref()?)))
        {
            // Pixels outside the mask are kept byte for byte; diffusers leaves that to its caller.
            for (i, mask) in mask.picture.rgb().iter().enumerate() {
                if *mask == 0 {
                    expected[i] = old.rgb()[i];
                    assert_eq!(generated.picture.rgb()[i], expected[i], "{name}: byte {i}");
                }
            }
        }
        let got = common::psnr(generated.picture.rgb(), &expected);
        if got < psnr {
            return Some(format!("{name}: picture: {got:.1} dB, expected {psnr}"));
        }
    }
    assert_eq!(shape[1..].iter().product::<usize>(), generated.latents.len());
    None
}

/// A golden picture of one or three channels; `black` and `white` are its extreme values.
pub fn picture(golden: &SafeTensors<'_>, name: &str, [black, white]: [f32; 2]) -> Picture {
    let (shape, values) = common::golden(golden, name);
    let values = common::nhwc(&shape, &values);
    let byte = |value: &f32| ((value - black) / (white - black) * 255.0).round() as u8;
    let rgb = values.iter().flat_map(|value| vec![byte(value); 3 / shape[1]]).collect();
    Picture::new(shape[3], shape[2], rgb).unwrap()
}

/// Checks every run of a model whose name begins with `prefix`, on every device.
fn check_runs(model: &str, prefix: &str, files: impl Fn(&Value) -> ModelFiles) {
    let folder = format!("tests/golden/{model}");
    let file = bytes(&format!("{folder}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let description = json(&format!("{folder}/golden.json"));
    let mut failures = Vec::new();
    let runs = description["runs"].as_object().unwrap();
    let mut count = 0;
    // An empty negative prompt that is encoded, where it is zeros here and by default there.
    let chosen = |name: &str| name.starts_with(prefix) && !name.ends_with("_empty");
    for (name, run) in runs.iter().filter(|(name, _)| chosen(name)) {
        count += 1;
        for gpu in common::gpus() {
            let mut diffusion = Diffusion::open(gpu, &files(run)).unwrap();
            let mut request = request(run);
            if let Some(strength) = run["strength"].as_f64() {
                let strength = strength as f32;
                request = match golden.tensor("inpaint.mask") {
                    Ok(_) if name.starts_with("inpaint") => {
                        let mask = Mask::new(picture(&golden, "inpaint.mask", [0.0, 1.0]));
                        let input = picture(&golden, "inpaint.input", [-1.0, 1.0]);
                        request.inpaint(input, mask, strength)
                    }
                    _ => request.image(picture(&golden, "img2img.input", [-1.0, 1.0]), strength),
                };
            }
            if name.starts_with("control") {
                let number = |key: &str, default| run[key].as_f64().unwrap_or(default);
                let folder = ModelFiles::open(path(&format!("{folder}/controlnet"))).unwrap();
                diffusion.set_controlnets(vec![ControlNet::open(&folder).unwrap()]).unwrap();
                request = request.control(Control {
                    picture: picture(&golden, "control.input", [-1.0, 1.0]),
                    scale: number("controlnet_conditioning_scale", 1.0) as f32,
                    start: number("control_guidance_start", 0.0),
                    end: number("control_guidance_end", 1.0),
                });
            }
            let problem = check(&mut diffusion, &golden, name, &request);
            failures.extend(problem.map(|problem| format!("{}: {problem}", common::name(gpu))));
        }
    }
    assert!(count > 0, "no run of {model} begins with {prefix}");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// The folder with the run's scheduler configuration in place of the model's.
pub fn with_scheduler(model: &'static str) -> impl Fn(&Value) -> ModelFiles {
    move |run| {
        let mut files = Vec::new();
        for part in [
            "model_index.json",
            "text_encoder/config.json",
            "text_encoder/model.safetensors",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
            "tokenizer/vocab.json",
            "tokenizer/merges.txt",
            "tokenizer/tokenizer_config.json",
            "tokenizer/special_tokens_map.json",
            "text_encoder_2/config.json",
            "text_encoder_2/model.safetensors",
            "tokenizer_2/vocab.json",
            "tokenizer_2/merges.txt",
            "tokenizer_2/tokenizer_config.json",
            "tokenizer_2/special_tokens_map.json",
        ] {
            // Components that a model lacks are those of sd1-tiny; only XL has two text encoders.
            let own = path(&format!("tests/golden/{model}/{part}"));
            let first = path(&format!("tests/golden/sd1-tiny/{part}"));
            let file = if own.exists() { own } else { first };
            if part.contains("_2/") && !file.exists() {
                continue;
            }
            files.push((part.to_string(), std::fs::read(file).unwrap().into()));
        }
        let own = format!("tests/golden/{model}/scheduler/scheduler_config.json");
        let scheduler = match &run["scheduler"] {
            Value::Null => bytes(&own),
            scheduler => serde_json::to_vec(scheduler).unwrap(),
        };
        files.push(("scheduler/scheduler_config.json".into(), scheduler.into()));
        ModelFiles::memory(model, files)
    }
}

/// Guidance rescale and η, on the model of `sd1-tiny`.
#[test]
fn guidance_rescale_and_eta() {
    check_runs("guidance", "txt2img", with_scheduler("sd1-tiny"));
}

#[test]
fn text_to_image_of_stable_diffusion_1() {
    check_runs("sd1-tiny", "txt2img", with_scheduler("sd1-tiny"));
}

#[test]
fn image_to_image_of_stable_diffusion_1() {
    check_runs("sd1-tiny", "img2img", with_scheduler("sd1-tiny"));
}

#[test]
fn inpainting_with_a_model_for_it_and_without() {
    check_runs("sd1-inpaint-tiny", "inpaint", with_scheduler("sd1-inpaint-tiny"));
    check_runs("sd1-tiny", "inpaint", with_scheduler("sd1-tiny"));
}

#[test]
fn text_to_image_of_a_latent_consistency_model() {
    check_runs("lcm-tiny", "txt2img", with_scheduler("lcm-tiny"));
}

#[test]
fn text_to_image_steered_by_a_controlnet() {
    check_runs("controlnet-tiny", "control", with_scheduler("controlnet-tiny"));
}

#[test]
fn text_to_image_of_stable_diffusion_2() {
    check_runs("sd2-tiny", "txt2img", with_scheduler("sd2-tiny"));
}

#[test]
fn text_to_image_of_stable_diffusion_xl() {
    check_runs("sdxl-tiny", "txt2img", with_scheduler("sdxl-tiny"));
}

#[test]
fn image_to_image_of_stable_diffusion_xl() {
    check_runs("sdxl-tiny", "img2img", with_scheduler("sdxl-tiny"));
}

#[test]
fn a_folder_is_the_same_as_files_in_memory() {
    let gpu: &Gpu = &common::gpus()[0];
    let files = ModelFiles::folder(path("tests/golden/sd1-tiny")).unwrap();
    let request = Request::new("a red apple").seed(3).steps(2).size(64, 64);
    let mut one = Diffusion::open(gpu, &files).unwrap();
    let run = json("tests/golden/sd1-tiny/golden.json")["runs"]["txt2img.pndm"].clone();
    let mut other = Diffusion::open(gpu, &with_scheduler("sd1-tiny")(&run)).unwrap();
    let pictures = [&mut one, &mut other]
        .map(|diffusion| diffusion.generate_blocking(&request).unwrap().picture);
    assert_eq!(pictures[0], pictures[1]);
}

#[test]
fn a_wrong_seed_is_detected() {
    let file = bytes("tests/golden/sd1-tiny/golden.safetensors");
    let golden = SafeTensors::deserialize(&file).unwrap();
    let run = json("tests/golden/sd1-tiny/golden.json")["runs"]["txt2img.ddim"].clone();
    let mut diffusion =
        Diffusion::open(&common::gpus()[0], &with_scheduler("sd1-tiny")(&run)).unwrap();
    let wrong = request(&run).seed(8);
    assert!(check(&mut diffusion, &golden, "txt2img.ddim", &wrong).is_some());
    let latents = to_channels_first(&[1.0, 2.0, 3.0, 4.0], 2);
    assert_eq!(latents, [1.0, 3.0, 2.0, 4.0]);
}

#[test]
fn a_result_that_is_not_finite_is_an_error_after_a_second_try_in_f32() {
    let Some(gpu) = common::gpus().iter().find(|gpu| gpu.target().storage == Storage::Packed)
    else {
        panic!("every adapter has packed storage");
    };
    let files = ModelFiles::folder(path("tests/golden/sd1-tiny")).unwrap();
    let mut diffusion = Diffusion::open(gpu, &files).unwrap();
    let request = Request::new("a red apple").steps(2).size(64, 64);
    let count = diffusion.latent_shape(&request).unwrap().iter().product();
    // Finite, but x₀ = (x − σ·ε)/α is beyond f32: a stand-in for a model that overflows.
    let request = Request { latents: Some(vec![f32::MAX; count]), ..request };
    let result = diffusion.generate_blocking(&request).map(|generated| generated.notes);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), croquis::ErrorKind::Numeric, "{error}");
    assert!(error.to_string().contains("storage f32"), "{error}");
    assert_eq!(diffusion.gpu().target().storage, Storage::F32);
}

#[test]
fn previews_approach_the_picture_and_breaking_stops() {
    let gpu: &Gpu = &common::gpus()[0];
    let mut diffusion = Diffusion::open(gpu, &ModelFiles::embedded()).unwrap();
    let request = Request::new("a red apple").seed(42).steps(4);
    let (previews, generated) = gpu.block_on(async {
        let mut run = diffusion.start(&request).await.unwrap();
        // Before the first step there is the noise, also where an earlier run left something else.
        let first = run.latents().await.unwrap();
        assert_eq!(first, croquis::internal::random::Generator::new(42).normal(first.len()));
        let mut previews = Vec::new();
        while run.step().await.unwrap().is_some() {
            previews.push(run.preview().await.unwrap());
        }
        (previews, run.finish().await.unwrap())
    });
    let distances: Vec<_> = previews
        .iter()
        .map(|preview| common::psnr(preview.rgb(), generated.picture.rgb()))
        .collect();
    assert_eq!(distances.len(), 4);
    assert!(distances[..3].iter().all(|earlier| *earlier < distances[3]), "{distances:?} dB");
    assert!(distances[3] > 60.0, "the last prediction is the picture: {distances:?} dB");

    let mut steps = 0;
    let stopped = diffusion.generate_with_blocking(&request, |progress| {
        steps = progress.step;
        if progress.step == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(stopped.unwrap_err().kind(), croquis::ErrorKind::Cancelled);
    assert_eq!(steps, 2);
}
