//! The embedded model against its golden files, which come with its weights.

use crate::{bytes, common, json, to_bytes};
use croquis::Storage;
use croquis::diffusion::{Diffusion, Request};
use croquis::files::ModelFiles;
use croquis::gpu::Gpu;
use safetensors::SafeTensors;

/// The request of `models/emoji-64/golden/golden.json`.
pub fn golden_request(golden: &SafeTensors<'_>) -> Request {
    let description = json("models/emoji-64/golden/golden.json");
    Request {
        prompt: description["prompt"].as_str().unwrap().into(),
        negative_prompt: description["negative_prompt"].as_str().unwrap().into(),
        steps: description["num_inference_steps"].as_u64().map(|steps| steps as usize),
        guidance_scale: description["guidance_scale"].as_f64().map(|scale| scale as f32),
        latents: Some(common::golden(golden, "initial_latents").1),
        ..Request::default()
    }
}

/// The differences of text embeddings, latents and picture from the golden run, on one device.
pub fn check(gpu: &Gpu, golden: &SafeTensors<'_>, request: &Request) -> Vec<String> {
    let (module, psnr) =
        if gpu.target().storage == Storage::F32 { (1e-4, 45.0) } else { (2e-2, 30.0) };
    let mut problems = Vec::new();
    let mut compare = |name: &str, got: &[f32]| {
        let error = common::relative_l2(got, &common::golden(golden, name).1);
        if error > module {
            problems.push(format!("{}: {name}: relative error {error:.2e}", common::name(gpu)));
        }
    };
    let mut diffusion = Diffusion::open(gpu, &ModelFiles::embedded()).unwrap();
    compare("text_embeds", &gpu.block_on(diffusion.encode_text(&request.prompt)).unwrap());
    compare("uncond_text_embeds", &gpu.block_on(diffusion.encode_text("")).unwrap());
    let generated = diffusion.generate_blocking(request).unwrap();
    compare("final_latents", &generated.latents);
    let (shape, image) = common::golden(golden, "image");
    let expected = to_bytes(&common::nhwc(&shape, &image));
    let got = common::psnr(generated.picture.rgb(), &expected);
    if got < psnr {
        problems.push(format!("{}: picture: {got:.1} dB, expected {psnr}", common::name(gpu)));
    }
    problems
}

#[test]
fn golden_run_on_every_device() {
    let file = bytes("models/emoji-64/golden/golden.safetensors");
    let golden = SafeTensors::deserialize(&file).unwrap();
    let request = golden_request(&golden);
    let problems: Vec<_> =
        common::gpus().iter().flat_map(|gpu| check(gpu, &golden, &request)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_wrong_prompt_is_detected() {
    let file = bytes("models/emoji-64/golden/golden.safetensors");
    let golden = SafeTensors::deserialize(&file).unwrap();
    let request = Request { prompt: "a blue heart".into(), ..golden_request(&golden) };
    let problems = check(&common::gpus()[0], &golden, &request);
    assert!(problems.len() >= 3, "{problems:?}");
}
