//! LoRAs, textual inversions and ControlNets added to a model and removed again. `tests/lora.rs`
//! tests that merged weights are right; this file, that they reach the GPU and leave it.

use crate::{common, path};
use croquis::ErrorKind;
use croquis::Lora;
use croquis::Storage;
use croquis::diffusion::{ControlNet, Diffusion, Request};
use croquis::files::ModelFiles;
use croquis::gpu::Gpu;

fn lora(name: &str) -> Lora {
    Lora::open(path(&format!("tests/golden/lora/{name}.safetensors"))).unwrap()
}

fn open(gpu: &Gpu, model: &str) -> Diffusion {
    let files = ModelFiles::open(path(&format!("tests/golden/{model}"))).unwrap();
    Diffusion::open(gpu, &files).unwrap()
}

fn latents(diffusion: &mut Diffusion) -> Vec<f32> {
    let request = Request::new("a red apple").seed(7).steps(2).size(64, 64);
    diffusion.generate_blocking(&request).unwrap().latents
}

/// The first adapter, with f32 storage.
fn gpu() -> &'static Gpu {
    let f32 = |gpu: &&Gpu| gpu.target().storage == Storage::F32;
    common::gpus().iter().find(f32).expect("every adapter has f32")
}

#[test]
fn loras_change_a_picture_and_leave_no_trace() {
    let mut diffusion = open(gpu(), "sd1-tiny");
    let plain = latents(&mut diffusion);
    let mut with = |loras: &[(Lora, f32)]| {
        diffusion.set_loras(loras).unwrap();
        latents(&mut diffusion)
    };
    let kohya = with(&[(lora("kohya"), 0.8)]);
    let peft = with(&[(lora("peft"), 0.8)]);
    assert!(common::relative_l2(&kohya, &plain) > 1e-2, "a LoRA changes the picture");
    assert!(common::relative_l2(&kohya, &peft) < 1e-4, "both files hold the same LoRA");
    let halves = with(&[(lora("kohya"), 0.4), (lora("peft"), 0.4)]);
    assert!(common::relative_l2(&halves, &kohya) < 1e-4, "two halves are a whole");
    let opposite = with(&[(lora("kohya"), 1.0), (lora("peft"), -1.0)]);
    assert!(common::relative_l2(&opposite, &plain) < 1e-3, "opposites cancel");
    assert_eq!(with(&[]), plain, "without LoRAs every bit is as before");
}

#[test]
fn a_lora_of_another_family_is_refused_and_changes_nothing() {
    let mut diffusion = open(gpu(), "sdxl-tiny");
    let plain = latents(&mut diffusion);
    let error = diffusion.set_loras(&[(lora("kohya"), 1.0)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Weights, "{error}");
    let error = diffusion.set_loras(&[(lora("peft"), f32::NAN)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Argument, "{error}");
    assert_eq!(latents(&mut diffusion), plain);
}

#[test]
fn a_controlnet_of_another_family_is_refused() {
    let files = ModelFiles::open(path("tests/golden/controlnet-tiny/controlnet")).unwrap();
    let controlnet = || ControlNet::open(&files).unwrap();
    let mut diffusion = open(gpu(), "sdxl-tiny");
    let error = diffusion.set_controlnets(vec![controlnet()]).unwrap_err();
    assert!(error.to_string().contains("another family"), "{error}");
    open(gpu(), "sd1-tiny").set_controlnets(vec![controlnet()]).unwrap();
}
