//! Results of every case on every device, and single layers of two.

use crate::common;
use crate::golden::{cases, golden_picture, open, upscaler, with_golden};
use croquis::Storage;
use croquis::gpu::GpuWeights;
use croquis::internal::graph::passes::fuse;
use croquis::internal::graph::{Builder, Plan, Scope};
use croquis::internal::models::upscaler::UpscalerNetwork;
use croquis::internal::shape::TensorType;
use croquis::internal::weights::Weights;

/// The least likeness to spandrel's result, in dB of 8-bit pictures.
const LEAST: f64 = 55.0;

#[test]
fn results_are_those_of_spandrel() {
    with_golden(|golden| {
        for gpu in common::gpus() {
            for (name, case) in cases() {
                let mut upscaler = upscaler(gpu, &name);
                assert_eq!(upscaler.scale(), case.network_scale, "{name}");
                let picture = golden_picture(golden, &format!("{name}.image"));
                let expected = golden_picture(golden, &format!("{name}.upscaled"));
                let got = upscaler.upscale_blocking(&picture).unwrap();
                assert_eq!((got.width(), got.height()), (expected.width(), expected.height()));
                let quality = common::psnr(got.rgb(), expected.rgb());
                println!("{name}, {}: {quality:.1} dB", common::name(gpu));
                assert!(quality >= LEAST, "{name}, {}: {quality:.1} dB", common::name(gpu));
                // Another picture is told from it.
                let wrong = common::psnr(&got.rgb()[3..], &expected.rgb()[..got.rgb().len() - 3]);
                assert!(wrong < 45.0, "{name}: {wrong:.1} dB");
            }
        }
    });
}

#[test]
fn weights_under_every_name_make_the_same_picture() {
    let gpu = &common::gpus()[0];
    with_golden(|golden| {
        for (name, case) in cases() {
            let picture = golden_picture(golden, &format!("{name}.image"));
            let spellings = case.spellings();
            assert!(spellings.len() >= if name.starts_with("esrgan") { 4 } else { 3 }, "{name}");
            let results: Vec<_> = spellings
                .iter()
                .map(|tensors| open(gpu, tensors).upscale_blocking(&picture).unwrap())
                .collect();
            assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{name}");
        }
    });
}

/// The layers of a case that differ from spandrel's.
fn differences(case: &str, change: impl Fn(&mut Vec<crate::golden::Tensor>)) -> Vec<String> {
    let mut tensors = cases()[case].tensors();
    change(&mut tensors);
    let weights = Weights::from_bytes("upscaler", crate::golden::file(&tensors)).unwrap();
    let (network, weights) = UpscalerNetwork::of(weights).unwrap();
    let mut problems = Vec::new();
    with_golden(|golden| {
        let (shape, image) = common::golden(golden, &format!("{case}.image"));
        // The layers are compared on whole cells, which padding completes.
        let image = common::nhwc(&shape, &image);
        let cell = network.cell();
        let [height, width] = [shape[2], shape[3]].map(|side| side.next_multiple_of(cell));
        let mirrored = |at: usize, len: usize| if at < len { at } else { 2 * len - 2 - at };
        let mut padded = Vec::new();
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let at = 3 * (mirrored(y, shape[2]) * shape[3] + mirrored(x, shape[3]));
            padded.extend_from_slice(&image[at..at + 3]);
        }
        let builder = Builder::new();
        let m = Scope::new(&builder, case, &weights);
        network.upscale(&m, builder.input("image", TensorType::real([1, height, width, 3])));
        let graph = fuse(builder.finish_with_taps().unwrap());
        let tapped = |name: &str| graph.outputs.iter().any(|(output, _)| output == name);
        let layers = golden.names().into_iter().filter(|name| {
            let layer = name.strip_prefix(&format!("{case}."));
            layer.is_some_and(|layer| !["image", "upscaled"].contains(&layer))
        });
        let layers: Vec<&str> = layers.collect();
        assert!(layers.len() >= 3 && layers.iter().all(|name| tapped(name)), "{layers:?}");
        for gpu in common::gpus() {
            let plan = Plan::new(&graph, gpu.target()).unwrap();
            let mut uploaded = GpuWeights::default();
            gpu.block_on(uploaded.upload(gpu, &weights, &plan.weights)).unwrap();
            let program = common::program(gpu, &graph, &uploaded, &[]);
            program.write("image", &padded).unwrap();
            program.run();
            let most = if gpu.target().storage == Storage::F32 { 1e-4 } else { 1e-2 };
            for name in &layers {
                let (shape, expected) = common::golden(golden, name);
                let got = gpu.block_on(program.read(name)).unwrap();
                let error = common::relative_l2(&got, &common::nhwc(&shape, &expected));
                if error > most {
                    problems.push(format!("{name}, {}: {error:.2e}", common::name(gpu)));
                }
            }
        }
    });
    problems
}

#[test]
fn layers_are_those_of_spandrel() {
    for case in ["esrgan-x2", "compact-x4"] {
        let problems = differences(case, |_| {});
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}

#[test]
fn a_wrong_layer_is_found() {
    let swapped = |tensors: &mut Vec<crate::golden::Tensor>| {
        let at = |name: &str| tensors.iter().position(|tensor| tensor.0 == name).unwrap();
        let [a, b] = [at("body.3.weight"), at("body.5.weight")];
        let kept = tensors[a].2.clone();
        tensors[a].2 = std::mem::replace(&mut tensors[b].2, kept);
    };
    let problems = differences("compact-x4", swapped);
    assert!(problems.iter().all(|problem| !problem.starts_with("compact-x4.body.1,")));
    assert!(problems.iter().any(|problem| problem.starts_with("compact-x4.body.3,")));
}
