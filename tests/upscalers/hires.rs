//! Second passes at a larger size, against the same passes one by one.

use crate::common;
use crate::golden::{golden_picture, upscaler, waves, with_golden};
use croquis::diffusion::{Control, ControlNet, Diffusion, Generated, Request};
use croquis::gpu::Gpu;
use croquis::{ErrorKind, ModelFiles, Picture, Result, SchedulerKind, Upscaler};
use std::ops::ControlFlow;

fn folder(name: &str) -> ModelFiles {
    ModelFiles::folder(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn model(gpu: &Gpu) -> Diffusion {
    Diffusion::open(gpu, &folder("sd1-tiny")).unwrap()
}

fn request() -> Request {
    Request::new("a red apple").size(48, 32).steps(4).seed(9).scheduler(SchedulerKind::Euler)
}

/// The passes of a request one by one, the second over the first one's picture as `enlarge` makes it.
fn one_by_one(
    diffusion: &mut Diffusion,
    request: &Request,
    enlarge: impl FnOnce(&Picture) -> Picture,
) -> Generated {
    let hires = request.hires.clone().unwrap();
    let once = Request { hires: None, ..request.clone() };
    let first = diffusion.generate_blocking(&once).unwrap();
    let mut second = once.image(enlarge(&first.picture), hires.strength);
    (second.width, second.height) = (None, None);
    second.steps = hires.steps.or(second.steps);
    for control in &mut second.controls {
        control.picture = control.picture.resized(96, 64).unwrap();
    }
    diffusion.generate_blocking(&second).unwrap()
}

fn assert_same(got: &Generated, expected: &Generated) {
    assert!(got.latents == expected.latents && got.picture == expected.picture);
}

#[test]
fn both_passes_are_those_one_by_one() {
    for gpu in common::gpus() {
        let mut diffusion = model(gpu);
        let mut twice = request().hires(2.0, 0.5);
        let got = diffusion.generate_blocking(&twice).unwrap();
        assert_eq!((got.picture.width(), got.picture.height()), (96, 64));
        assert_eq!((got.first_size, got.steps, got.seed), (Some([48, 32]), 4, 9));
        let expected = one_by_one(&mut diffusion, &twice, |p| p.resized(96, 64).unwrap());
        assert_same(&got, &expected);
        assert_eq!(expected.first_size, None);
        // The strength and the number of steps matter.
        twice.hires.as_mut().unwrap().steps = Some(8);
        let more = diffusion.generate_blocking(&twice).unwrap();
        assert_same(&more, &one_by_one(&mut diffusion, &twice, |p| p.resized(96, 64).unwrap()));
        let weaker = diffusion.generate_blocking(&request().hires(2.0, 0.3)).unwrap();
        assert!(more.latents != got.latents && weaker.latents != got.latents);
    }
}

#[test]
fn sizes_are_rounded_to_what_the_model_draws() {
    let mut diffusion = model(&common::gpus()[0]);
    let got = diffusion.generate_blocking(&request().steps(1).hires(1.3, 1.0)).unwrap();
    assert_eq!((got.picture.width(), got.picture.height()), (64, 40));
}

#[test]
fn an_upscaler_enlarges_and_the_filter_does_the_rest() {
    let gpu = &common::gpus()[0];
    let twice = request().hires(2.0, 0.5);
    let mut plain = model(gpu);
    let filtered = plain.generate_blocking(&twice).unwrap();
    for case in ["esrgan-x2", "compact-x4"] {
        let mut diffusion = model(gpu);
        diffusion.set_upscaler(Some(upscaler(gpu, case)));
        let got = diffusion.generate_blocking(&twice).unwrap();
        let mut upscaler = upscaler(gpu, case);
        let expected = one_by_one(&mut plain, &twice, |picture| {
            upscaler.upscale_blocking(picture).unwrap().resized(96, 64).unwrap()
        });
        assert_same(&got, &expected);
        assert!(got.latents != filtered.latents, "{case}");
        assert!(got.timings.upscale > web_time::Duration::ZERO);

        // The upscaler takes its turn where memory is short.
        let memory = diffusion.model().memory(&twice, gpu.target()).unwrap();
        diffusion.set_memory_budget(Some(memory.in_turn()));
        assert_same(&diffusion.generate_blocking(&twice).unwrap(), &expected);
    }
}

#[test]
fn a_control_picture_grows_with_the_picture() {
    let gpu = &common::gpus()[0];
    let mut diffusion = model(gpu);
    let controlnet = ControlNet::open(&folder("controlnet-tiny")).unwrap();
    diffusion.set_controlnets(vec![controlnet]).unwrap();
    let twice = request().control(Control::new(waves(48, 32))).hires(2.0, 0.5);
    let got = diffusion.generate_blocking(&twice).unwrap();
    assert_same(&got, &one_by_one(&mut diffusion, &twice, |p| p.resized(96, 64).unwrap()));
}

#[test]
fn progress_counts_the_steps_of_both_passes() {
    let mut diffusion = model(&common::gpus()[0]);
    let mut told = Vec::new();
    let twice = request().hires(2.0, 0.5);
    diffusion
        .generate_with_blocking(&twice, |progress| {
            told.push((progress.step, progress.steps));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(told, (1..=6).map(|step| (step, 6)).collect::<Vec<_>>());
    let stopped = diffusion.generate_with_blocking(&twice, |progress| {
        if progress.step == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
}

/// The message and kind of a refusal, before any step.
fn refused(diffusion: &mut Diffusion, request: &Request) -> (ErrorKind, String) {
    let mut steps = 0;
    let result: Result<Generated> = diffusion.generate_with_blocking(request, |_| {
        steps += 1;
        ControlFlow::Continue(())
    });
    let error = result.expect_err("a refusal");
    assert_eq!(steps, 0, "{error}");
    (error.kind(), error.to_string())
}

#[test]
fn impossible_second_passes_are_refused_before_the_first() {
    let gpu = &common::gpus()[0];
    let mut diffusion = model(gpu);
    let table = [
        (request().hires(0.5, 0.5), "hires: expected a factor from 1 to 8, got 0.5"),
        (request().hires(f32::NAN, 0.5), "got NaN"),
        (request().hires(2.0, f32::NAN), "hires: strength"),
        (request().size(4096, 64).hires(8.0, 0.5), "hires: expected sides of at most 16384"),
        (request().image(waves(48, 32), 0.5).hires(2.0, 0.5), "hires: expected text to image"),
    ];
    for (request, expected) in table {
        let (kind, message) = refused(&mut diffusion, &request);
        assert_eq!(kind, ErrorKind::Argument, "{message}");
        assert!(message.contains(expected), "{expected}: {message}");
        assert!(diffusion.model().check(&request).is_err());
    }
    let mut none = request().hires(2.0, 0.5);
    none.hires.as_mut().unwrap().steps = Some(0);
    assert_eq!(refused(&mut diffusion, &none).0, ErrorKind::Argument);

    // The first pass fits, the second does not.
    let twice = request().hires(8.0, 0.5);
    let memory = |request: &Request| diffusion.model().memory(request, gpu.target()).unwrap();
    let large = memory(&twice);
    // Pictures are decoded in tiles where they must, but not denoised.
    let denoiser = large.stages.iter().find(|stage| stage.name == "denoiser").unwrap().bytes();
    let small = memory(&request()).in_turn();
    assert!(small < denoiser, "{small} {denoiser}");
    diffusion.set_memory_budget(Some(denoiser - 1));
    let (kind, message) = refused(&mut diffusion, &twice);
    assert_eq!(kind, ErrorKind::Memory);
    assert!(message.starts_with("hires: ") && message.contains("memory budget"), "{message}");
    diffusion.set_memory_budget(Some(small));
    assert!(diffusion.generate_blocking(&request()).is_ok());
}

#[test]
fn an_upscaler_that_does_not_fit_is_refused_before_the_first_pass() {
    let gpu = &common::gpus()[0];
    let mut diffusion = model(gpu);
    let twice = request().hires(1.0, 0.5);
    let memory = diffusion.model().memory(&twice, gpu.target()).unwrap();
    // 64 channels, whose weights are larger than the tiny model's stages.
    let large: Upscaler = upscaler(gpu, "esrgan-x4");
    diffusion.set_upscaler(Some(large));
    diffusion.set_memory_budget(Some(memory.in_turn()));
    let (kind, message) = refused(&mut diffusion, &twice);
    assert_eq!(kind, ErrorKind::Memory);
    assert!(message.contains("the upscaler needs"), "{message}");
}

#[test]
fn pictures_are_resized_as_by_pillow() {
    with_golden(|golden| {
        let picture = golden_picture(golden, "compact-x4.image");
        for (name, width, height) in [("lanczos.larger", 29, 17), ("lanczos.smaller", 8, 5)] {
            let resized = picture.resized(width, height).unwrap();
            let expected = golden_picture(golden, name);
            let quality = common::psnr(resized.rgb(), expected.rgb());
            println!("{name}: {quality:.1} dB");
            assert!(quality > 50.0, "{name}: {quality:.1} dB");
        }
        assert_eq!(picture.resized(13, 11).unwrap(), picture);
        for (width, height) in [(0, 4), (4, 0), (20_000, 4)] {
            let error = picture.resized(width, height).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Argument);
        }
    });
}
