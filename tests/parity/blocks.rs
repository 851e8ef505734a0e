//! Every block of the text encoders and the autoencoder, and the comparison of blocks.

use crate::{bytes, common, json, path};
use croquis::gpu::{Gpu, GpuWeights, Program};
use croquis::internal::graph::passes::fuse;
use croquis::internal::graph::{Builder, Graph, Scope};
use croquis::internal::models::autoencoder::{AutoencoderConfig, decode, encode};
use croquis::internal::models::clip::{ClipConfig, embed, text_encoder};
use croquis::internal::models::parse_config;
use croquis::internal::shape::{Storage, TensorType};
use croquis::internal::weights::Weights;
use safetensors::SafeTensors;

/// The tolerance of a block's relative L2 error.
pub fn tolerance(storage: Storage) -> f64 {
    if storage == Storage::F32 { 1e-4 } else { 1e-2 }
}

/// Whether a golden tensor is inside a block, where a fused kernel does not compute it on its own.
fn inside_a_block(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let inner = ["norm", "proj_in", "proj_out", "attn1", "attn2", "ff", "mlp", "self_attn"];
    inner.contains(&last) || name.ends_with("conv_norm_out")
}

/// The differences between named outputs and golden tensors, in the order of computation.
fn compare(
    golden: &SafeTensors<'_>,
    outputs: &[(String, Vec<f32>)],
    tolerance: f64,
) -> Vec<String> {
    let mut problems = Vec::new();
    // Some blocks' references are left out to keep the files small; `assert_complete` counts.
    for (name, got) in outputs.iter().filter(|(name, _)| golden.tensor(name).is_ok()) {
        let (shape, expected) = common::golden(golden, name);
        let expected = if shape.len() == 4 { common::nhwc(&shape, &expected) } else { expected };
        let error = if name.ends_with("time_embedding") {
            // A row for every timestep, the last of which counts, where diffusers has one an item.
            let last = expected.len() - shape[1];
            common::relative_l2(&got[got.len() - shape[1]..], &expected[last..])
        } else {
            common::relative_l2(got, &expected)
        };
        if error > tolerance {
            problems.push(format!("{name}: relative error {error:.2e}, allowed {tolerance:.0e}"));
        }
    }
    problems
}

/// Checks that every block with a golden tensor under `prefix` is among the outputs.
pub fn assert_complete(
    golden: &SafeTensors<'_>,
    prefixes: &[&str],
    inputs: &[&str],
    graph: &Graph,
) {
    let missing: Vec<_> = golden
        .names()
        .into_iter()
        .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !inputs.contains(name) && !inside_a_block(name))
        .filter(|name| !graph.outputs.iter().any(|(output, _)| output == name))
        .collect();
    assert!(missing.is_empty(), "golden blocks that no output covers: {missing:?}");
}

pub fn upload(gpu: &Gpu, weights: &Weights, graph: &Graph) -> GpuWeights {
    let plan = croquis::internal::graph::Plan::new(graph, gpu.target()).unwrap();
    let mut uploaded = GpuWeights::default();
    gpu.block_on(uploaded.upload(gpu, weights, &plan.weights)).unwrap();
    uploaded
}

/// Runs a single-phase graph and reads its outputs in the order of computation.
pub fn run(
    gpu: &Gpu,
    weights: &Weights,
    graph: &Graph,
    inputs: &[(&str, &[f32])],
) -> Vec<(String, Vec<f32>)> {
    let program = common::program(gpu, graph, &upload(gpu, weights, graph), &[]);
    inputs.iter().for_each(|(name, values)| program.write(name, values).unwrap());
    program.run();
    read_all(gpu, &program, graph)
}

/// Compares the outputs of `run` on every device with the golden tensors.
pub fn check_everywhere(golden: &SafeTensors<'_>, run: impl Fn(&Gpu) -> Vec<(String, Vec<f32>)>) {
    let mut failed = Vec::new();
    for gpu in common::gpus() {
        let problems = compare(golden, &run(gpu), tolerance(gpu.target().storage));
        if let Some(first) = problems.first() {
            let name = common::name(gpu);
            failed.push(format!("{name}: {} blocks diverge, first {first}", problems.len()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// All outputs in the order of computation.
pub fn read_all(gpu: &Gpu, program: &Program, graph: &Graph) -> Vec<(String, Vec<f32>)> {
    let mut outputs = graph.outputs.clone();
    outputs.sort_by_key(|(_, id)| *id);
    let read = |name: String| (name.clone(), gpu.block_on(program.read(&name)).unwrap());
    outputs.into_iter().map(|(name, _)| read(name)).collect()
}

#[test]
fn text_encoders() {
    for model in ["sd1-tiny", "sd2-tiny"] {
        let folder = format!("tests/golden/{model}");
        let file = bytes(&format!("{folder}/golden.safetensors"));
        let golden = SafeTensors::deserialize(&file).unwrap();
        let weights = Weights::open(path(&format!("{folder}/text_encoder/model.safetensors")))
            .and_then(|weights| weights.without_prefix("text_model."))
            .unwrap();
        let text =
            std::fs::read_to_string(path(&format!("{folder}/text_encoder/config.json"))).unwrap();
        let config: ClipConfig = parse_config("config.json", &text).unwrap();
        let (shape, embeddings) = common::golden(&golden, "text_encoder.embeddings");
        let ids = &json(&format!("{folder}/golden.json"))["text_encoder"]["input_ids"];
        let rows = ids.as_array().unwrap().iter().flat_map(|row| {
            let ids: Vec<u32> = serde_json::from_value(row.clone()).unwrap();
            embed(&weights, &ids).unwrap()
        });
        let rows: Vec<_> = rows.collect();
        assert!(common::relative_l2(&rows, &embeddings) < 1e-6, "{model}: embeddings");

        let builder = Builder::new();
        let m = Scope::new(&builder, "text_encoder", &weights);
        let input = builder.input("embeddings", TensorType::real([shape[0], shape[1], shape[2]]));
        text_encoder(&m, &config, input);
        let graph = fuse(builder.finish_with_taps().unwrap());
        assert_complete(&golden, &["text_encoder."], &["text_encoder.embeddings"], &graph);
        check_everywhere(&golden, |gpu| run(gpu, &weights, &graph, &[("embeddings", &embeddings)]));
    }
}

#[test]
fn autoencoder_both_ways() {
    let folder = "tests/golden/sd1-tiny";
    let file = bytes(&format!("{folder}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let weights =
        Weights::open(path(&format!("{folder}/vae/diffusion_pytorch_model.safetensors"))).unwrap();
    let text = std::fs::read_to_string(path(&format!("{folder}/vae/config.json"))).unwrap();
    let config: AutoencoderConfig = parse_config("config.json", &text).unwrap();
    for (input, prefixes) in [
        ("vae.decoder.latents", ["vae.decoder.", "vae.decoder."]),
        ("vae.encoder.image", ["vae.encoder.", "vae.quant_conv"]),
    ] {
        let (shape, values) = common::golden(&golden, input);
        let builder = Builder::new();
        let m = Scope::new(&builder, "vae", &weights);
        let tensor =
            builder.input("in", TensorType::real([shape[0], shape[2], shape[3], shape[1]]));
        if input.contains("decoder") {
            decode(&m, &config, tensor)
        } else {
            encode(&m, &config, tensor)
        };
        let graph = fuse(builder.finish_with_taps().unwrap());
        assert_complete(&golden, &prefixes, &[input], &graph);
        let values = common::nhwc(&shape, &values);
        check_everywhere(&golden, |gpu| run(gpu, &weights, &graph, &[("in", &values)]));
    }
}

#[test]
fn the_comparison_detects_a_wrong_block() {
    let file = bytes("tests/golden/sd1-tiny/golden.safetensors");
    let golden = SafeTensors::deserialize(&file).unwrap();
    let name = "unet.mid_block.resnets.1".to_string();
    let (shape, values) = common::golden(&golden, &name);
    let right = common::nhwc(&shape, &values);
    assert!(compare(&golden, &[(name.clone(), right.clone())], 1e-4).is_empty());
    let mut wrong = right.clone();
    wrong[3] += 0.1;
    assert_eq!(compare(&golden, &[(name.clone(), wrong)], 1e-4).len(), 1);
    let not_transposed = values;
    assert_eq!(compare(&golden, &[(name.clone(), not_transposed)], 1e-2).len(), 1);
    let mut not_finite = right;
    not_finite[0] = f32::NAN;
    assert_eq!(compare(&golden, &[(name, not_finite)], 1e-2).len(), 1);
}

#[test]
#[should_panic(expected = "blocks diverge, first unet.conv_out")]
fn a_wrong_block_fails_on_every_device() {
    let file = bytes("tests/golden/sd1-tiny/golden.safetensors");
    let golden = SafeTensors::deserialize(&file).unwrap();
    let (_, not_transposed) = common::golden(&golden, "unet.conv_out");
    check_everywhere(&golden, |_| vec![("unet.conv_out".into(), not_transposed.clone())]);
}
