//! Recovery from devices that refuse an allocation.

use super::*;
use crate::gpu::DeviceOptions;

/// A device that refuses to allocate more than `capacity` and whose size is not known.
fn small(capacity: u64) -> Diffusion {
    let options = DeviceOptions { storage: Some(Storage::F32), ..Default::default() };
    let mut gpu = Gpu::open_blocking(&options).unwrap();
    gpu.capacity = Some(capacity);
    // Of the tiny models, and unlike in the embedded one, the decoder needs most.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sd1-tiny");
    let mut diffusion = Diffusion::open(&gpu, &ModelFiles::folder(folder).unwrap()).unwrap();
    diffusion.session.budget.capacity = None;
    diffusion
}

#[test]
fn what_a_device_refuses_is_given_up_step_by_step() {
    let request = Request::new("a red apple").size(384, 192).steps(1).seed(3);
    let mut large = small(u64::MAX);
    let plan = large.session.model.memory(&request, large.session.gpu.target()).unwrap();
    let decoder = plan.stages.last().unwrap().bytes();
    let others = plan.stages.iter().filter(|stage| stage.name != "decoder");
    let denoiser = others.map(|stage| stage.bytes()).max().unwrap();
    assert!(decoder > denoiser, "the decoder is what gets smaller");
    let whole = large.generate_blocking(&request).unwrap();
    assert!(!large.session.budget.crowded && whole.notes.is_empty());

    // Too small for all together: turns, and the same picture.
    let mut crowded = small(plan.in_turn().midpoint(plan.together()));
    let turns = crowded.generate_blocking(&request).unwrap();
    assert!(crowded.session.budget.crowded && turns.notes.is_empty(), "{:?}", turns.notes);
    assert!(turns.latents == whole.latents && turns.picture == whole.picture);

    // Too small for the decoder alone: tiles, without computing the latents again.
    let mut tiny = small(decoder.midpoint(denoiser));
    let mut steps = 0;
    let count = |_: &Progress| {
        steps += 1;
        ControlFlow::Continue(())
    };
    let tiled = tiny.generate_with_blocking(&request, count).unwrap();
    assert!(tiled.notes.iter().any(|note| note.starts_with("decoded in")), "{:?}", tiled.notes);
    assert!(tiled.latents == whole.latents && steps <= 2, "{steps} steps");
    // It is known from now on.
    assert_eq!(tiny.generate_blocking(&request).unwrap().notes, tiled.notes);

    // Too small for anything: the device's error, and no end of attempts.
    let error = small(1 << 20).generate_blocking(&request).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Memory);
    assert!(error.to_string().contains("out of memory"), "{error}");
}

#[test]
fn a_refused_plan_gives_nothing_up() {
    let mut diffusion = small(u64::MAX);
    diffusion.set_memory_budget(Some(1000));
    let request = Request::new("a red apple");
    assert!(diffusion.generate_blocking(&request).is_err());
    assert!(!diffusion.session.budget.crowded);
    diffusion.set_memory_budget(None);
    assert_eq!(diffusion.memory_budget(), None);
    diffusion.session.budget.capacity = Some(1000);
    assert_eq!(diffusion.memory_budget(), Some(900));
}

#[test]
fn a_lost_device_is_opened_again_once() {
    let request = Request::new("a red apple").size(64, 64).steps(2).seed(3);
    let mut diffusion = small(u64::MAX);
    let expected = diffusion.generate_blocking(&request).unwrap();
    diffusion.gpu().destroy();
    let again = diffusion.generate_blocking(&request).unwrap();
    assert!(again.latents == expected.latents && again.picture == expected.picture);
    assert_eq!(again.notes, ["the GPU device was lost, and opened again"]);
    assert!(diffusion.generate_blocking(&request).unwrap().notes.is_empty());

    // A run is not begun again by itself, but the model can be.
    diffusion.gpu().destroy();
    let error = pollster::block_on(diffusion.start(&request)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Device, "{error}");
    assert!(error.to_string().contains("lost or destroyed"), "{error}");
    diffusion.recover_blocking().unwrap();
    assert!(diffusion.generate_blocking(&request).unwrap().picture == expected.picture);
}
