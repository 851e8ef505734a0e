//! IP-Adapters: preprocessing and image encoder against transformers, projections and whole runs
//! against diffusers.

use crate::blocks::{assert_complete, check_everywhere, read_all, tolerance, upload};
use crate::runs::{check, request, with_scheduler};
use crate::{bytes, common, json, path};
use croquis::diffusion::{Diffusion, IpAdapter, Request};
use croquis::files::ModelFiles;
use croquis::gpu::Gpu;
use croquis::internal::components::normalised;
use croquis::internal::graph::passes::fuse;
use croquis::internal::graph::{Builder, Graph, Scope};
use croquis::internal::models::clip_vision::{
    ClipVisionConfig, VisionInputs, VisionOutput, image_encoder,
};
use croquis::internal::models::image_prompt::{linear_projection, resampler};
use croquis::internal::models::parse_config;
use croquis::internal::shape::TensorType;
use croquis::internal::weights::{View, Weights};
use croquis::picture::Picture;
use croquis::{Error, ErrorKind, Storage};
use safetensors::SafeTensors;

const FOLDER: &str = "tests/golden/ip-adapter-tiny";

fn golden_file() -> Vec<u8> {
    bytes(&format!("{FOLDER}/golden.safetensors"))
}

/// A golden picture `[H, W, 3]` in bytes.
fn picture(golden: &SafeTensors<'_>, name: &str) -> Picture {
    let (shape, values) = common::golden(golden, name);
    let rgb = values.iter().map(|value| *value as u8).collect();
    Picture::new(shape[1], shape[0], rgb).unwrap()
}

fn encoder() -> ModelFiles {
    ModelFiles::open(path(FOLDER).join("image_encoder")).unwrap()
}

fn adapter(name: &str) -> IpAdapter {
    IpAdapter::open(path(&format!("{FOLDER}/{name}.safetensors")), &encoder()).unwrap()
}

#[test]
fn pictures_are_resized_cut_and_normalised_as_by_transformers() {
    let file = golden_file();
    let golden = SafeTensors::deserialize(&file).unwrap();
    for name in ["picture", "wide", "small"] {
        let (shape, pixels) = common::golden(&golden, &format!("pixels.{name}"));
        let expected = common::nhwc(&shape, &pixels);
        let got = normalised(&picture(&golden, name), shape[2]);
        assert_eq!(got.len(), expected.len());
        // One 255th, by the smallest standard deviation; two kinds of rounding differ by that.
        let most = 1.001 / 255.0 / 0.26;
        let difference =
            |got: &[f32]| got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let worst = difference(&got);
        assert!(worst < most, "{name}: {worst}");
        let mirrored: Vec<f32> = got.chunks(3).rev().flatten().copied().collect();
        assert!(difference(&mirrored) > most, "{name}: a mirrored picture is another");
    }
}

/// Runs a graph of one phase and reads its outputs.
fn run(
    gpu: &Gpu,
    weights: &Weights,
    graph: &Graph,
    inputs: &[(&str, &[f32])],
) -> Vec<(String, Vec<f32>)> {
    let uploaded = upload(gpu, weights, graph);
    let program = common::program(gpu, graph, &uploaded, &[]);
    for (name, values) in inputs {
        program.write(name, values).unwrap();
    }
    program.run();
    read_all(gpu, &program, graph)
}

#[test]
fn every_block_of_the_image_encoder() {
    let file = golden_file();
    let golden = SafeTensors::deserialize(&file).unwrap();
    let folder = format!("{FOLDER}/image_encoder");
    let text = String::from_utf8(bytes(&format!("{folder}/config.json"))).unwrap();
    let config: ClipVisionConfig = parse_config("config.json", &text).unwrap();
    let weights = Weights::open(path(&format!("{folder}/model.safetensors")))
        .and_then(|weights| weights.without_prefix("vision_model."))
        .unwrap();
    let (shape, pixels) = common::golden(&golden, "pixels.picture");
    let (tokens, width) = (config.tokens(), 32);
    let mut pictures = vec![0.0; pixels.len()];
    pictures.extend(common::nhwc(&shape, &pixels));
    let class = weights.read_f32("embeddings.class_embedding").unwrap().repeat(2);
    let positions = weights.read_f32("embeddings.position_embedding.weight").unwrap();
    let inputs: [(&str, &[f32]); 3] =
        [("pixels", &pictures), ("class", &class), ("positions", &positions)];
    let graph = |output| {
        let builder = Builder::new();
        let m = Scope::new(&builder, "image_encoder.vision_model", &weights);
        let inputs = VisionInputs {
            pixels: builder.input("pixels", TensorType::real([2, shape[2], shape[3], 3])),
            class: builder.input("class", TensorType::real([2, width])),
            positions: builder.input("positions", TensorType::real([1, tokens * width])),
        };
        let states = image_encoder(&m, &config, inputs, output);
        if output == VisionOutput::Projected {
            builder.output("projected", states);
        }
        fuse(builder.finish_with_taps().unwrap())
    };
    let whole = graph(VisionOutput::Projected);
    let others = ["image_encoder.hidden_states.-2", "image_encoder.image_embeds"];
    assert_complete(&golden, &["image_encoder."], &others, &whole);
    check_everywhere(&golden, |gpu| {
        let mut outputs = run(gpu, &weights, &whole, &inputs);
        let projected = outputs.iter().find(|(name, _)| name == "projected").unwrap().1.clone();
        let row = projected.len() / tokens / 2;
        let first = projected.chunks(tokens * row).flat_map(|item| item[..row].to_vec());
        outputs.push(("image_encoder.image_embeds".into(), first.collect()));
        let hidden = run(gpu, &weights, &graph(VisionOutput::Hidden), &inputs);
        let (name, last) = hidden.last().cloned().unwrap();
        assert!(name.ends_with("encoder.layers.1"), "{name} is the last layer but one");
        outputs.push(("image_encoder.hidden_states.-2".into(), last));
        outputs
    });
}

#[test]
fn projections_to_tokens() {
    let file = golden_file();
    let golden = SafeTensors::deserialize(&file).unwrap();
    let (_, hidden) = common::golden(&golden, "image_encoder.hidden_states.-2");
    let (_, embeds) = common::golden(&golden, "image_encoder.image_embeds");
    // The unconditional embedding is zeros, its hidden state that of a zero image.
    let embeds: Vec<f32> =
        [vec![0.0; embeds.len() / 2], embeds[embeds.len() / 2..].to_vec()].concat();
    for (name, plus) in [("sd1-base", false), ("sd1-plus", true), ("sdxl-base", false)] {
        let weights = Weights::open(path(&format!("{FOLDER}/{name}.safetensors"))).unwrap();
        let weights = weights
            .map_names(|name, shape| match name.strip_suffix("to_kv.weight") {
                _ if !name.starts_with("image_proj.") => Vec::new(),
                Some(layer) => vec![
                    (format!("{layer}to_k.weight"), View::Rows(0..shape[0] / 2)),
                    (format!("{layer}to_v.weight"), View::Rows(shape[0] / 2..shape[0])),
                ],
                None => vec![(name.to_string(), View::Whole)],
            })
            .unwrap();
        let (_, expected) = common::golden(&golden, &format!("{name}.tokens"));
        let latents = plus.then(|| weights.read_f32("image_proj.latents").unwrap().repeat(2));
        let builder = Builder::new();
        let m = Scope::new(&builder, "", &weights).at("image_proj");
        let tokens = match plus {
            true => {
                let hidden = builder.input("image", TensorType::real([2, 17, 32]));
                resampler(&m, hidden, builder.input("latents", TensorType::real([2, 6, 16])))
            }
            false => linear_projection(&m, builder.input("image", TensorType::real([2, 1, 24]))),
        };
        builder.output("tokens", tokens);
        let graph = fuse(builder.finish().unwrap());
        let mut inputs = vec![("image", if plus { &hidden[..] } else { &embeds[..] })];
        inputs.extend(latents.as_deref().map(|latents| ("latents", latents)));
        for gpu in common::gpus() {
            let outputs = run(gpu, &weights, &graph, &inputs);
            let error = common::relative_l2(&outputs[0].1, &expected);
            let most = tolerance(gpu.target().storage);
            assert!(error < most, "{name}: {}: {error:.1e}", common::name(gpu));
            let (first, second) = expected.split_at(expected.len() / 2);
            let swapped = [second, first].concat();
            assert!(common::relative_l2(&outputs[0].1, &swapped) > most);
        }
    }
}

#[test]
fn runs_prompted_by_a_picture() {
    let file = golden_file();
    let golden = SafeTensors::deserialize(&file).unwrap();
    let description = json(&format!("{FOLDER}/golden.json"));
    let runs = description["runs"].as_object().unwrap();
    assert_eq!(runs.len(), 5);
    for (name, run) in runs {
        let file = &name[..name.find('.').unwrap()];
        let model = if name.starts_with("sdxl") { "sdxl-tiny" } else { "sd1-tiny" };
        let scale = run["ip_adapter_scale"].as_f64().unwrap() as f32;
        let prompted = request(run).image_prompt(picture(&golden, "picture"), scale);
        for gpu in common::gpus() {
            let mut diffusion = Diffusion::open(gpu, &with_scheduler(model)(run)).unwrap();
            diffusion.set_ip_adapter(Some(adapter(file))).unwrap();
            let problem = check(&mut diffusion, &golden, name, &prompted);
            assert_eq!(problem, None, "{}", common::name(gpu));
            if gpu.target().storage == Storage::F32 {
                let mut weaker = prompted.clone();
                weaker.image_prompt.as_mut().unwrap().scale *= 0.9;
                assert!(check(&mut diffusion, &golden, name, &weaker).is_some(), "{name}");
            }
        }
    }
}

/// The first adapter with f32 storage.
fn gpu() -> &'static Gpu {
    let f32 = |gpu: &&Gpu| gpu.target().storage == Storage::F32;
    common::gpus().iter().find(f32).expect("every adapter has f32")
}

#[test]
fn without_a_picture_and_without_an_adapter_nothing_changes() {
    let file = golden_file();
    let golden = SafeTensors::deserialize(&file).unwrap();
    let files = ModelFiles::open(path("tests/golden/sd1-tiny")).unwrap();
    let mut diffusion = Diffusion::open(gpu(), &files).unwrap();
    let request = Request::new("a red apple").seed(7).steps(2).size(64, 64);
    let prompted = request.clone().image_prompt(picture(&golden, "picture"), 1.0);
    let plain = diffusion.generate_blocking(&request).unwrap().latents;
    let message = diffusion.generate_blocking(&prompted).unwrap_err().to_string();
    assert!(message.contains("no IP-Adapter was loaded"), "{message}");

    diffusion.set_ip_adapter(Some(adapter("sd1-plus"))).unwrap();
    assert_eq!(diffusion.generate_blocking(&request).unwrap().latents, plain);
    let whole = diffusion.generate_blocking(&prompted).unwrap();
    assert!(common::relative_l2(&whole.latents, &plain) > 1e-2);
    let none = request.clone().image_prompt(picture(&golden, "picture"), 0.0);
    let none = diffusion.generate_blocking(&none).unwrap().latents;
    assert!(common::relative_l2(&none, &plain) < 1e-5, "scale 0 leaves the picture out");

    // Components that take turns change no bit, and the plan counts the image encoder.
    let memory = diffusion.model().memory(&prompted, gpu().target()).unwrap();
    assert!(memory.stages.iter().any(|stage| stage.name == "image encoder"));
    diffusion.set_memory_budget(Some(memory.together()));
    let peak = diffusion.generate_blocking(&prompted).unwrap().peak_bytes;
    let staging = memory.stages.iter().map(|stage| stage.staging).max().unwrap();
    assert_eq!(peak + staging, memory.together(), "all is planned");
    diffusion.set_memory_budget(Some(memory.in_turn()));
    assert_eq!(diffusion.generate_blocking(&prompted).unwrap().latents, whole.latents);

    diffusion.set_memory_budget(None);
    diffusion.set_ip_adapter(None).unwrap();
    assert_eq!(diffusion.generate_blocking(&request).unwrap().latents, plain);
}

#[test]
fn other_files_are_refused_by_name() {
    let file = |tensors: &[(&str, &[usize])]| {
        let of = |(name, shape): &(&str, &[usize])| {
            (name.to_string(), (shape.to_vec(), vec![0.0f32; shape.iter().product()]))
        };
        let views: Vec<_> = tensors.iter().map(of).collect();
        let views = views.iter().map(|(name, (shape, values))| {
            let bytes = bytemuck::cast_slice(values);
            let view =
                safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
            (name.clone(), view.unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    };
    let open = |tensors: &[(&str, &[usize])]| -> Error {
        IpAdapter::from_bytes("file", file(tensors), &encoder()).map(|_| ()).unwrap_err()
    };
    type Tensors<'a> = &'a [(&'a str, &'a [usize])];
    let cases: [(Tensors<'_>, ErrorKind, &str); 5] = [
        (&[("image_proj.proj.0.weight", &[8, 8])], ErrorKind::Unsupported, "IP-Adapter-FaceID"),
        (
            &[("image_proj.perceiver_resampler.proj_in.weight", &[8, 8])],
            ErrorKind::Unsupported,
            "FaceID Plus",
        ),
        (&[("image_proj.proj.3.weight", &[8])], ErrorKind::Unsupported, "IP-Adapter Full"),
        (&[("conv_in.weight", &[8])], ErrorKind::Weights, "got neither"),
        (
            &[("image_proj.proj.weight", &[128, 1024])],
            ErrorKind::Weights,
            "embeddings of width 1024, got one of width 24",
        ),
    ];
    for (tensors, kind, words) in cases {
        let error = open(tensors);
        assert!(error.kind() == kind && error.to_string().contains(words), "{error}");
    }
    let pickle = IpAdapter::from_bytes("ip.bin", b"PK\x03\x04".to_vec(), &encoder());
    assert!(pickle.map(|_| ()).unwrap_err().to_string().contains("pickle"));
    let controlnet = ModelFiles::open(path("tests/golden/controlnet-tiny/controlnet")).unwrap();
    let wrong = IpAdapter::open(path(&format!("{FOLDER}/sd1-base.safetensors")), &controlnet);
    let message = wrong.map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("CLIPVisionModelWithProjection"), "{message}");

    for (model, name) in [("sdxl-tiny", "sd1-base"), ("sd1-tiny", "sdxl-base")] {
        let files = ModelFiles::open(path(&format!("tests/golden/{model}"))).unwrap();
        let mut diffusion = Diffusion::open(gpu(), &files).unwrap();
        let error = diffusion.set_ip_adapter(Some(adapter(name))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Weights);
        assert!(error.to_string().contains("another family"), "{error}");
    }
}
