//! A second picture of the same shapes: nothing is built, planned, compiled or bound again, and every
//! text is tokenised once for each encoder. Of two passes, each is bound again.

mod common;
#[path = "upscalers/golden.rs"]
#[allow(dead_code)] // other targets use the rest
mod golden;
#[path = "common/records.rs"]
mod records;

use croquis::SchedulerKind;
use croquis::diffusion::{Diffusion, Mask, Request};
use croquis::files::ModelFiles;
use croquis::internal::logging;
use croquis::picture::Picture;

/// The records of each target since the last call: graphs, plans, pipelines, programs, texts.
fn counts() -> [usize; 5] {
    records::counts([
        logging::GRAPH,
        logging::PLAN,
        logging::PIPELINE,
        logging::PROGRAM,
        logging::TOKENS,
    ])
}

/// A picture of 48×32 pixels.
fn picture(value: u8) -> Picture {
    Picture::new(48, 32, vec![value; 48 * 32 * 3]).unwrap()
}

/// A model, the number of its text encoders, and pairs of requests of the same shapes.
fn cases() -> Vec<(&'static str, usize, Vec<[Request; 2]>)> {
    let of = |prompt: &str, seed| Request::new(prompt).size(48, 32).steps(2).seed(seed);
    let plain = [of("a red apple", 1), of("two green pears", 2).guidance_scale(3.0)];
    let unguided = [of("a", 1).guidance_scale(1.0), of("b", 2).guidance_scale(0.5)];
    let samplers =
        [SchedulerKind::Ddim, SchedulerKind::EulerAncestral].map(|kind| of("a", 1).scheduler(kind));
    let image = [0.5, 0.6].map(|strength| of("a tree", 5).steps(4).image(picture(90), strength));
    let mask = || Mask::new(picture(200));
    let inpaint = [1, 2].map(|seed| of("a tree", seed).inpaint(picture(seed as u8), mask(), 1.0));
    let all = vec![plain.clone(), unguided, samplers, image, inpaint];
    vec![("sd1-tiny", 1, all), ("sdxl-tiny", 2, vec![plain])]
}

/// Pairs of requests whose texts change in the steps or are composed, and the number of their texts.
fn several_texts() -> Vec<(usize, [Request; 2])> {
    let of = |prompt: &str| Request::new(prompt).size(48, 32).steps(3);
    vec![
        (3, [of("a [red|blue] apple"), of("a [cat:dog:1]")]),
        (3, [of("a AND b"), of("a red apple :0.5 AND [b]")]),
    ]
}

/// Several texts are encoded with the plans of one or two.
fn several_texts_build_nothing_in_a_second_picture() {
    let gpu = &common::gpus()[0];
    let folder = format!("{}/tests/golden/sd1-tiny", env!("CARGO_MANIFEST_DIR"));
    let files = ModelFiles::folder(folder).unwrap();
    for (texts, [first, second]) in several_texts() {
        let mut diffusion = Diffusion::open(gpu, &files).unwrap();
        diffusion.generate_blocking(&first).unwrap();
        assert_eq!(counts()[4], texts, "{first:?}");
        diffusion.generate_blocking(&second).unwrap();
        assert_eq!(counts(), [0, 0, 0, 0, texts], "{second:?}");
    }
}

// The only test of this target: the logger belongs to the whole process.
#[test]
fn a_second_picture_of_the_same_shapes_builds_nothing() {
    records::install();
    counts();
    several_texts_build_nothing_in_a_second_picture();
    let gpu = &common::gpus()[0];
    for (model, encoders, pairs) in cases() {
        let folder = format!("{}/tests/golden/{model}", env!("CARGO_MANIFEST_DIR"));
        let files = ModelFiles::folder(folder).unwrap();
        for [first, second] in pairs {
            let mut diffusion = Diffusion::open(gpu, &files).unwrap();
            counts();
            diffusion.generate_blocking(&first).unwrap();
            let [graphs, plans, _, programs, texts] = counts();
            // The counters work: a text encoder, both phases of the denoiser, the decoder.
            assert!(graphs >= 3 && plans >= 4 && programs >= 4, "{graphs} {plans} {programs}");
            let guided = first.guidance_scale.is_none_or(|scale| scale > 1.0);
            let each = if guided { 2 * encoders } else { encoders };
            assert_eq!(texts, each, "{model}: {first:?}");

            diffusion.generate_blocking(&second).unwrap();
            assert_eq!(counts(), [0, 0, 0, 0, each], "{model}: {second:?}");

            // Components that take turns in memory are bound again, not planned.
            let memory = diffusion.model().memory(&second, gpu.target()).unwrap();
            diffusion.set_memory_budget(Some(memory.in_turn()));
            diffusion.generate_blocking(&second).unwrap();
            let [graphs, plans, pipelines, programs, texts] = counts();
            assert_eq!([graphs, plans, pipelines], [0, 0, 0], "{model}: in turn");
            assert!(programs >= 4 && texts == 2 * each, "{programs} programs, {texts} texts");

            diffusion.set_memory_budget(None);
            let larger = second.clone().size(64, 64);
            if second.image.is_none() {
                diffusion.generate_blocking(&larger).unwrap();
                assert!(counts()[1] >= 3, "another size is planned");
            }
        }
    }
    two_passes(gpu);
}

/// Two passes with an upscaler between them: each is bound again, and nothing else is made. The texts of
/// the second are read twice, since it is planned before the first begins.
fn two_passes(gpu: &croquis::Gpu) {
    let folder = format!("{}/tests/golden/sd1-tiny", env!("CARGO_MANIFEST_DIR"));
    let mut diffusion = Diffusion::open(gpu, &ModelFiles::folder(folder).unwrap()).unwrap();
    diffusion.set_upscaler(Some(golden::upscaler(gpu, "compact-x4")));
    let of = |seed| Request::new("a tree").size(48, 32).steps(2).seed(seed).hires(2.0, 0.5);
    counts();
    diffusion.generate_blocking(&of(1)).unwrap();
    let [graphs, plans, ..] = counts();
    assert!(graphs >= 7 && plans >= 9, "{graphs} {plans}");
    diffusion.generate_blocking(&of(2)).unwrap();
    let [graphs, plans, pipelines, programs, texts] = counts();
    assert_eq!([graphs, plans, pipelines, texts], [0, 0, 0, 6]);
    assert!(programs <= 8, "{programs} programs are bound");
}
