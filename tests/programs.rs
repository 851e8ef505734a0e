//! Programs on every adapter: what a run hands to the next, recordings, readback of items.

mod common;

use croquis::ErrorKind;
use croquis::gpu::{Gpu, GpuWeights, Program};
use croquis::internal::graph::{Builder, Plan};
use croquis::internal::kernels::Shader;
use croquis::internal::kernels::blend::Blend;
use croquis::internal::kernels::scheduler_step::slot;
use croquis::internal::shape::TensorType;
use std::sync::Arc;

/// Doubles `[3, 2, 5]`, adds one to it, and hands item 1 of the result to the next run.
fn doubling(gpu: &Gpu) -> Program {
    let builder = Builder::new();
    let x = builder.input("x", TensorType::real([1, 2, 5]));
    let all = builder.input("all", TensorType::real([3, 2, 5]));
    builder.output("twice", x + x);
    builder.output("sum", all + all);
    builder.carry("sum", 1, "x");
    builder.carry("sum", 0, "all");
    let graph = builder.finish().expect("the shapes fit");
    common::program(gpu, &graph, &GpuWeights::default(), &[])
}

fn counted(count: usize) -> Vec<f32> {
    (0..count).map(|value| value as f32).collect()
}

#[test]
fn a_run_hands_its_outputs_to_the_next() {
    for gpu in common::gpus() {
        let program = doubling(gpu);
        program.write("x", &[1.0; 10]).unwrap();
        program.write("all", &counted(30)).unwrap();
        let read = |name: &str| gpu.block_on(program.read(name)).unwrap();
        program.run();
        assert_eq!(read("twice"), [2.0; 10], "{}", common::name(gpu));
        program.run();
        let expected: Vec<f32> = (10..20).map(|value| 4.0 * value as f32).collect();
        assert_eq!(read("twice"), expected, "{}", common::name(gpu));
        let expected: Vec<f32> = (0..30).map(|value| 4.0 * value as f32).collect();
        assert_eq!(read("sum"), expected, "{}", common::name(gpu));
    }
}

#[test]
fn a_recording_reads_the_inputs_that_are_there_when_it_runs() {
    for gpu in common::gpus() {
        let program = doubling(gpu);
        program.write("x", &[1.0; 10]).unwrap();
        program.write("all", &[0.0; 30]).unwrap();
        let (first, second) = (program.record(), program.record());
        program.submit(first);
        program.write("x", &[3.0; 10]).unwrap();
        program.submit(second);
        let twice = gpu.block_on(program.read("twice")).unwrap();
        assert_eq!(twice, [6.0; 10], "{}", common::name(gpu));
    }
}

#[test]
fn items_are_read_without_the_others() {
    for gpu in common::gpus() {
        let program = doubling(gpu);
        program.write("all", &counted(30)).unwrap();
        program.run();
        let items = |first, count| gpu.block_on(program.read_items("sum", first, count));
        let all = gpu.block_on(program.read("sum")).unwrap();
        assert_eq!(items(0, 3).unwrap(), all);
        assert_eq!(items(1, 2).unwrap(), all[10..]);
        assert_eq!(items(2, 1).unwrap(), all[20..]);
        assert!(items(3, 0).unwrap().is_empty());
        for (first, count) in [(0, 4), (3, 1), (usize::MAX, 2)] {
            let error = items(first, count).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Argument);
            assert!(error.to_string().contains("output sum: expected"), "{error}");
        }
        assert!(gpu.block_on(program.read_items("other", 0, 1)).is_err());
        // A vector is one item, of whichever length.
        let builder = Builder::new();
        let x = builder.input("x", TensorType::real([5]));
        builder.output("y", x.silu());
        let graph = builder.finish().unwrap();
        let program = common::program(gpu, &graph, &GpuWeights::default(), &[]);
        program.write("x", &[0.0; 5]).unwrap();
        program.run();
        assert_eq!(gpu.block_on(program.read("y")).unwrap(), [0.0; 5]);
        assert_eq!(gpu.block_on(program.read_items("y", 0, 1)).unwrap(), [0.0; 5]);
    }
}

#[test]
fn programs_share_a_plan() {
    for gpu in common::gpus() {
        let builder = Builder::new();
        let x = builder.input("x", TensorType::real([1, 8]));
        builder.output("y", x + x);
        let plan = Arc::new(Plan::new(&builder.finish().unwrap(), gpu.target()).unwrap());
        for value in [1.0, 2.0] {
            let weights = GpuWeights::default();
            let program = gpu.block_on(Program::new(gpu, plan.clone(), &weights, &[])).unwrap();
            program.write("x", &[value; 8]).unwrap();
            program.run();
            assert_eq!(gpu.block_on(program.read("y")).unwrap(), [2.0 * value; 8]);
        }
        assert_eq!(Arc::strong_count(&plan), 1);
    }
}

/// The formula in f32, as a host would blend.
fn blended(sample: f32, image: f32, noise: f32, mask: f32, [signal, level]: [f32; 2]) -> f32 {
    (1.0 - mask) * (signal * image + level * noise) + mask * sample
}

#[test]
fn a_binary_mask_takes_one_side_exactly() {
    const SIZE: [usize; 4] = [1, 3, 5, 4];
    for gpu in common::gpus() {
        let builder = Builder::new();
        let latents = |items: usize| TensorType::f32([items, SIZE[1], SIZE[2], SIZE[3]]);
        let operands = [
            builder.input("sample", latents(6)),
            builder.input("image", latents(1)),
            builder.input("noise", latents(1)),
            builder.input("mask", TensorType::f32([1, SIZE[1], SIZE[2], 1])),
            builder.input("step", TensorType::f32([slot::LEN])),
        ];
        builder.output("out", builder.apply(Blend, &operands.map(Some)));
        let graph = builder.finish().unwrap();
        let program = common::program(gpu, &graph, &GpuWeights::default(), &[]);

        let count = SIZE.iter().product::<usize>();
        let values = |seed: f32| -> Vec<f32> {
            (0..count).map(|i| (i as f32 * 0.37 + seed).sin() * 3.1).collect()
        };
        let (mut sample, image, noise) = (values(0.1), values(1.3), values(2.9));
        let mask: Vec<f32> = (0..count / SIZE[3]).map(|pixel| (pixel % 2) as f32).collect();
        // What is not finite on the side that does not count stays out.
        sample[0] = f32::INFINITY;
        program.write("image", &image).unwrap();
        program.write("noise", &noise).unwrap();
        program.write("mask", &mask).unwrap();
        program.write("sample", &sample.repeat(6)).unwrap();
        for noising in [[1.0, 0.0], [0.75, 0.5]] {
            let mut step = [0.0; slot::LEN];
            [step[slot::NEXT_SIGNAL], step[slot::NEXT_LEVEL]] = noising;
            program.write("step", &step).unwrap();
            program.run();
            let out = gpu.block_on(program.read("out")).unwrap();
            for (i, got) in out.iter().enumerate() {
                let (mask, name) = (mask[i / SIZE[3]], common::name(gpu));
                let expected = match mask == 1.0 {
                    true => sample[i],
                    false => blended(0.0, image[i], noise[i], 0.0, noising),
                };
                // A GPU may fuse the product and the sum of the noised picture, and nothing else.
                let exact = mask == 1.0 || noising == [1.0, 0.0];
                let tolerance = if exact { 0.0 } else { 1e-6 * 3.1 };
                assert!((got - expected).abs() <= tolerance, "{name}: {i}: {got}, {expected}");
            }
        }
    }
}

#[test]
fn a_kernel_that_does_not_compile_is_named() {
    for gpu in common::gpus() {
        let builder = Builder::new();
        let x = builder.input("x", TensorType::real([1, 8]));
        builder.output("y", x.silu() + x);
        let right = Plan::new(&builder.finish().unwrap(), gpu.target()).unwrap();
        let mut wrong = right.clone();
        for dispatch in wrong.dispatches_mut().filter(|d| d.shader.name == "activation") {
            let source = dispatch.shader.source.replace("out[i] = ", "out[i] == ");
            let source = Box::leak(source.into_boxed_str());
            dispatch.shader = Box::leak(Box::new(Shader { source, ..*dispatch.shader }));
        }
        // Refused every time, and the right one is not mistaken for it afterwards.
        for _ in 0..2 {
            let weights = GpuWeights::default();
            let error = gpu.block_on(Program::new(gpu, wrong.clone(), &weights, &[])).err();
            let error = error.expect("the kernel is refused");
            assert_eq!(error.kind(), ErrorKind::Device);
            let message = error.to_string();
            assert!(message.contains("refused the plan: kernel activation: "), "{message}");
        }
        gpu.block_on(Program::new(gpu, right, &GpuWeights::default(), &[])).unwrap();
    }
}
