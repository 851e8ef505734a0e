//! Memory budgets: allocations match the plan, loading components in turn changes no result, and
//! what does not fit is refused with a suggestion.

mod common;

use croquis::ErrorKind;
use croquis::Storage;
use croquis::diffusion::{Diffusion, Generated, Model, Request, Tiling};
use croquis::files::ModelFiles;
use croquis::gpu::{Gpu, wgpu};
use croquis::internal::kernels::Target;
use croquis::picture::Picture;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn files(model: &str) -> ModelFiles {
    let folder = format!("{}/tests/golden/{model}", env!("CARGO_MANIFEST_DIR"));
    ModelFiles::folder(folder).unwrap()
}

fn request() -> Request {
    Request::new("a red apple").size(64, 64).steps(2).seed(7)
}

/// An input picture for image to image.
fn picture(side: usize) -> Picture {
    let rgb = (0..3 * side * side).map(|at| (at % 251) as u8).collect();
    Picture::new(side, side, rgb).unwrap()
}

/// Each device of this machine once.
fn gpus() -> impl Iterator<Item = &'static Gpu> {
    common::gpus().iter().filter(|gpu| gpu.target().storage == Storage::F32)
}

fn same(a: &Generated, b: &Generated) -> bool {
    let bits = |g: &Generated| g.latents.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    bits(a) == bits(b) && a.picture.rgb() == b.picture.rgb()
}

#[test]
fn taking_turns_changes_no_bit() {
    let gpu = gpus().next().unwrap();
    for model in ["sd1-tiny", "sdxl-tiny"] {
        for request in [request(), request().image(picture(64), 0.6)] {
            let mut diffusion = Diffusion::open(gpu, &files(model)).unwrap();
            let plan = diffusion.model().memory(&request, gpu.target()).unwrap();
            let (together, in_turn) = (plan.together(), plan.in_turn());
            assert!(in_turn < together, "{model}: {in_turn} {together}");
            let staging = plan.stages.iter().map(|stage| stage.staging).max().unwrap();

            diffusion.set_memory_budget(Some(together));
            let whole = diffusion.generate_blocking(&request).unwrap();
            assert_eq!(whole.peak_bytes + staging, together, "{model}: all is planned");
            let again = diffusion.generate_blocking(&request).unwrap();
            assert!(same(&whole, &again) && again.peak_bytes == whole.peak_bytes);

            diffusion.set_memory_budget(Some(in_turn));
            for _ in 0..2 {
                let turns = diffusion.generate_blocking(&request).unwrap();
                assert!(same(&whole, &turns), "{model}: turns change the picture");
                let resident = plan.stages.iter().map(|stage| stage.resident()).max();
                assert_eq!(Some(turns.peak_bytes), resident, "{model}");
            }
            let other = diffusion.generate_blocking(&request.clone().seed(8)).unwrap();
            assert!(!same(&whole, &other), "the comparison sees another picture");
        }
    }
}

/// Samples a device's allocated bytes, staging memory included, while `work` runs; returns the peak
/// and the bytes before.
fn watched(device: &wgpu::Device, work: impl FnOnce()) -> (u64, u64) {
    let allocated = || device.generate_allocator_report().unwrap().total_allocated_bytes;
    let before = allocated();
    let (most, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(allocated(), Ordering::Relaxed);
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
    (most.into_inner(), before)
}

#[test]
fn no_more_is_allocated_than_planned() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).unwrap();
    let descriptor =
        wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    let gpu = Gpu::from_device(device.clone(), queue, Some(Storage::F32)).unwrap();
    for model in ["sd1-tiny", "sdxl-tiny"] {
        let request = request().image(picture(64), 0.6);
        let mut diffusion = Diffusion::open(&gpu, &files(model)).unwrap();
        let plan = diffusion.model().memory(&request, gpu.target()).unwrap();
        for budget in [plan.in_turn(), plan.together()] {
            diffusion.set_memory_budget(Some(budget));
            let (most, before) = watched(&device, || {
                diffusion.generate_blocking(&request).unwrap();
            });
            let most = most - before;
            println!("{model}: {most} bytes allocated of {budget} planned");
            // The allocator rounds every buffer up, and the watcher sees moments only.
            assert!(most <= budget + budget / 20, "{model}: {most} of {budget}");
            assert!(most > budget / 2, "{model}: the watcher saw only {most} of {budget}");
            diffusion.set_memory_budget(None);
            gpu.block_on(gpu.finished()).unwrap();
        }
    }
}

#[test]
fn another_size_forgets_what_the_last_one_needed() {
    let gpu = gpus().next().unwrap();
    let mut diffusion = Diffusion::open(gpu, &files("sd1-tiny")).unwrap();
    let (large, small) = (request().size(128, 128), request());
    let plan = |diffusion: &Diffusion, request| {
        diffusion.model().memory(request, gpu.target()).unwrap().together()
    };
    let budget = plan(&diffusion, &large);
    diffusion.set_memory_budget(Some(budget));
    let expected = diffusion.generate_blocking(&small).unwrap();
    diffusion.generate_blocking(&large).unwrap();
    let after = diffusion.generate_blocking(&small).unwrap();
    assert!(same(&expected, &after));
    assert_eq!(after.peak_bytes, expected.peak_bytes);
    assert!(after.peak_bytes < plan(&diffusion, &small));
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let gpu = gpus().next().unwrap();
    for model in ["sd1-tiny", "sdxl-tiny"] {
        let mut diffusion = Diffusion::open(gpu, &files(model)).unwrap();
        diffusion.set_tiling(Tiling::Never).unwrap();
        let request = request().size(320, 512);
        let in_turn = |side: (usize, usize), storage| {
            let target = Target { storage, ..gpu.target().clone() };
            let model = Model::open(&files(model)).unwrap();
            model.memory(&request.clone().size(side.0, side.1), &target).unwrap().in_turn()
        };
        let needed = in_turn((320, 512), Storage::F32);
        for budget in
            [needed - 1, in_turn((192, 192), Storage::F32), in_turn((64, 64), Storage::F32)]
        {
            diffusion.set_memory_budget(Some(budget));
            let error = diffusion.generate_blocking(&request).expect_err("it does not fit");
            assert_eq!(error.kind(), ErrorKind::Memory);
            let message = error.to_string();
            println!("{model}: {message}");
            assert!(message.contains("of weights") && message.contains("budget is"), "{message}");
            // The suggested square fits, and the next larger one does not.
            let words: Vec<_> = message.split(' ').collect();
            let pixels = words.iter().position(|word| *word == "pixels").expect(&message);
            let side = words[pixels - 1].split('x').next().unwrap().parse().unwrap();
            assert!(in_turn((side, side), Storage::F32) <= budget, "{message}");
            assert!(in_turn((side + 64, side + 64), Storage::F32) > budget, "{message}");
            let halves = in_turn((320, 512), Storage::Packed) <= budget;
            assert_eq!(message.contains("storage f16 or packed"), halves, "{message}");
        }
        // Where nothing fits, that is said.
        let budget = in_turn((64, 64), Storage::F32) / 2;
        diffusion.set_memory_budget(Some(budget));
        let message = diffusion.generate_blocking(&request).err().unwrap().to_string();
        assert!(message.contains("no size fits, not even 64x64 pixels: the "), "{message}");
        // Where the smallest size was asked for, its numbers are told once.
        let error =
            diffusion.generate_blocking(&request.clone().size(64, 64)).expect_err("it cannot fit");
        let message = error.to_string();
        assert!(message.ends_with("; no size fits, not even 64x64 pixels"), "{message}");
        assert_eq!(message.matches("of weights").count(), 1, "{message}");
    }
}

#[test]
fn tiles_are_chosen_by_the_budget() {
    let gpu = gpus().next().unwrap();
    let mut diffusion = Diffusion::open(gpu, &files("sd1-tiny")).unwrap();
    let request = request().size(384, 192).steps(1);
    let plan = diffusion.model().memory(&request, gpu.target()).unwrap();
    let decoder = plan.stages.iter().find(|stage| stage.name == "decoder").unwrap();
    let others = plan.stages.iter().filter(|stage| stage.name != "decoder");
    assert_eq!(plan.in_turn(), decoder.bytes(), "the decoder needs most");
    let largest = others.map(|stage| stage.bytes()).max().unwrap();
    let whole = diffusion.generate_blocking(&request).unwrap();
    assert!(whole.notes.is_empty(), "{:?}", whole.notes);

    let budget = largest.midpoint(decoder.bytes());
    diffusion.set_memory_budget(Some(budget));
    let tiled = diffusion.generate_blocking(&request).unwrap();
    assert!(tiled.notes.iter().any(|note| note.starts_with("decoded in ")), "{:?}", tiled.notes);
    assert!(tiled.peak_bytes <= budget);
    assert!(whole.latents == tiled.latents, "only the decoder changes");
    // A budget of the codec's own beside it: the tighter one holds.
    diffusion.set_codec_budget(Some(budget / 2));
    let smaller = diffusion.generate_blocking(&request).unwrap();
    assert!(smaller.notes != tiled.notes, "{:?}", smaller.notes);
    // Decoding by itself keeps to the budget as well.
    diffusion.set_codec_budget(None);
    let again = gpu.block_on(diffusion.decode(&tiled.latents, 24, 48)).unwrap();
    assert!(again.rgb() == tiled.picture.rgb());
}

#[test]
fn a_second_try_in_f32_keeps_to_the_budget() {
    let packed = common::gpus().iter().find(|gpu| gpu.target().storage == Storage::Packed);
    let gpu = packed.expect("every adapter has packed storage");
    let mut diffusion = Diffusion::open(gpu, &files("sd1-tiny")).unwrap();
    let count = diffusion.latent_shape(&request()).unwrap().iter().product();
    // Finite, but beyond f32 after a step: a stand-in for a model that overflows.
    let request = Request { latents: Some(vec![f32::MAX; count]), ..request() };
    let plan = diffusion.model().memory(&request, gpu.target()).unwrap();
    diffusion.set_memory_budget(Some(plan.together()));
    let error = diffusion.generate_blocking(&request).expect_err("f32 takes twice as much");
    assert_eq!(error.kind(), ErrorKind::Memory, "{error}");
    let message = error.to_string();
    assert!(message.starts_with("storage packed overflowed, and with f32: the "), "{message}");
    // The model is as it was before.
    assert_eq!(diffusion.gpu().target().storage, Storage::Packed);
    // With room for f32, that is what the second try is made with.
    diffusion.set_memory_budget(Some(2 * plan.together()));
    let error = diffusion.generate_blocking(&request).expect_err("nor is it finite in f32");
    assert_eq!(error.kind(), ErrorKind::Numeric, "{error}");
}

#[test]
fn a_device_says_what_it_has() {
    for gpu in gpus() {
        let diffusion = Diffusion::open(gpu, &files("sd1-tiny")).unwrap();
        let (budget, memory) = (diffusion.memory_budget().unwrap(), gpu.memory().unwrap());
        assert!(budget > memory / 2 && budget < memory, "{budget} of {memory}");
    }
}
