//! Every block's output: a failure names the first block that diverges.

use crate::{bytes, common, json, path};
use croquis::gpu::{Gpu, GpuWeights, Link, Program};
use croquis::graph::passes::{fuse, split_phases};
use croquis::graph::{Builder, Graph, Scope};
use croquis::kernels::scheduler_step::slot;
use croquis::models::autoencoder::{AutoencoderConfig, decode, encode};
use croquis::models::clip::{ClipConfig, embed, text_encoder};
use croquis::models::mobile::MobileConfig;
use croquis::models::parse_config;
use croquis::models::unet::{Outline, UnetConfig, UnetInputs, unet};
use croquis::shape::{Storage, TensorType};
use croquis::weights::Weights;
use safetensors::SafeTensors;

/// The relative L2 error that a block may have.
fn tolerance(storage: Storage) -> f64 {
    if storage == Storage::F32 { 1e-4 } else { 1e-2 }
}

/// Golden tensors inside blocks, which fused kernels never compute on their own.
fn inside_a_block(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let inner = ["norm", "proj_in", "proj_out", "attn1", "attn2", "ff", "mlp", "self_attn"];
    inner.contains(&last) || name.ends_with("conv_norm_out")
}

/// What a comparison of named outputs with golden tensors finds, in the order of computation.
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
            // One row for the whole batch, and after it was a row for another timestep.
            common::relative_l2(&got[got.len() / 2..], &expected[..got.len() / 2])
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
fn assert_complete(golden: &SafeTensors<'_>, prefixes: &[&str], inputs: &[&str], graph: &Graph) {
    let missing: Vec<_> = golden
        .names()
        .into_iter()
        .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !inputs.contains(name) && !inside_a_block(name))
        .filter(|name| !graph.outputs.iter().any(|(output, _)| output == name))
        .collect();
    assert!(missing.is_empty(), "golden blocks that no output covers: {missing:?}");
}

fn upload(gpu: &Gpu, weights: &Weights, graph: &Graph) -> GpuWeights {
    let plan = croquis::graph::Plan::new(graph, gpu.target()).unwrap();
    let mut uploaded = GpuWeights::default();
    gpu.block_on(uploaded.upload(gpu, weights, &plan.weights)).unwrap();
    uploaded
}

/// Runs a graph of one phase and reads its outputs in the order of computation.
fn run(
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

fn report(problems: Vec<(String, Vec<String>)>) {
    let failed: Vec<_> = problems
        .iter()
        .filter(|(_, problems)| !problems.is_empty())
        .map(|(gpu, problems)| {
            format!("{gpu}: {} blocks diverge, first {}", problems.len(), problems[0])
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A UNet and the values of its inputs, in our layout.
struct UnetCase<'a> {
    weights: &'a Weights,
    outline: &'a Outline,
    sample_shape: [usize; 4],
    sample: Vec<f32>,
    timestep: f32,
    context_shape: [usize; 3],
    context: Vec<f32>,
}

impl UnetCase<'_> {
    /// The graph with every block as an output.
    fn graph(&self) -> Graph {
        let builder = Builder::new();
        let m = Scope::new(&builder, "unet", self.weights);
        let inputs = UnetInputs {
            sample: builder.input("sample", TensorType::real(self.sample_shape)),
            timesteps: builder.input("timesteps", TensorType::f32([2])),
            step: builder.input("step", TensorType::f32([slot::LEN])),
            context: builder.input("context", TensorType::real(self.context_shape)),
        };
        unet(&m, self.outline, inputs);
        fuse(builder.finish_with_taps().unwrap())
    }

    /// Every block's output, in the order of computation.
    fn run(&self, gpu: &Gpu) -> Vec<(String, Vec<f32>)> {
        let phases = split_phases(self.graph(), &["sample", "step"]);
        let weights = upload(gpu, self.weights, &phases.prepare);
        let prepare = common::program(gpu, &phases.prepare, &weights, &[]);
        // The second of two timesteps, so that the selection of its row is tested as well.
        prepare.write("timesteps", &[17.0, self.timestep]).unwrap();
        prepare.write("context", &self.context).unwrap();
        prepare.run();
        let names = phases.prepare.outputs.iter().map(|(name, _)| name.clone());
        let links: Vec<_> = names.map(|name| Link { from: &prepare, name }).collect();
        let weights = upload(gpu, self.weights, &phases.step);
        let program = common::program(gpu, &phases.step, &weights, &links);
        let mut step = [0.0; slot::LEN];
        step[slot::ROW] = 1.0;
        program.write("sample", &self.sample).unwrap();
        program.write("step", &step).unwrap();
        program.run();
        let mut outputs = read_all(gpu, &prepare, &phases.prepare);
        outputs.retain(|(name, _)| name.starts_with("unet."));
        outputs.extend(read_all(gpu, &program, &phases.step));
        outputs
    }
}

/// All outputs in the order of computation.
fn read_all(gpu: &Gpu, program: &Program, graph: &Graph) -> Vec<(String, Vec<f32>)> {
    let mut outputs = graph.outputs.clone();
    outputs.sort_by_key(|(_, id)| *id);
    let read = |name: String| (name.clone(), gpu.block_on(program.read(&name)).unwrap());
    outputs.into_iter().map(|(name, _)| read(name)).collect()
}

fn check_unet(model: &str, outline: &Outline) {
    let folder = format!("tests/golden/{model}");
    let file = bytes(&format!("{folder}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let (shape, sample) = common::golden(&golden, "unet.sample");
    let (context_shape, context) = common::golden(&golden, "unet.encoder_hidden_states");
    let timestep = json(&format!("{folder}/golden.json"))["unet"]["timestep"].as_f64().unwrap();
    let weights =
        Weights::open(path(&format!("{folder}/unet/diffusion_pytorch_model.safetensors")));
    let case = UnetCase {
        weights: &weights.unwrap(),
        outline,
        sample_shape: [shape[0], shape[2], shape[3], shape[1]],
        sample: common::nhwc(&shape, &sample),
        timestep: timestep as f32,
        context_shape: context_shape.try_into().unwrap(),
        context,
    };
    let inputs = ["unet.sample", "unet.encoder_hidden_states"];
    assert_complete(&golden, &["unet."], &inputs, &case.graph());
    let check = |gpu| {
        let tolerance = tolerance(Gpu::target(gpu).storage);
        (common::name(gpu), compare(&golden, &case.run(gpu), tolerance))
    };
    report(common::gpus().iter().map(check).collect());
}

#[test]
fn unet_of_the_embedded_model_at_three_timesteps() {
    let file = bytes("models/emoji-64/golden/golden.safetensors");
    let golden = SafeTensors::deserialize(&file).unwrap();
    let folder = path("models/emoji-64/unet");
    let weights = Weights::open(folder.join("diffusion_pytorch_model.safetensors")).unwrap();
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let config: MobileConfig = parse_config("config.json", &text).unwrap();
    let (shape, sample) = common::golden(&golden, "initial_latents");
    let (context_shape, context) = common::golden(&golden, "text_embeds");
    let names: Vec<_> =
        golden.names().into_iter().filter(|n| n.starts_with("unet_out_t")).collect();
    assert!(!names.is_empty());
    for name in names {
        let case = UnetCase {
            weights: &weights,
            outline: &config.outline().unwrap(),
            sample_shape: [shape[0], shape[2], shape[3], shape[1]],
            sample: common::nhwc(&shape, &sample),
            timestep: name["unet_out_t".len()..].parse().unwrap(),
            context_shape: context_shape.clone().try_into().unwrap(),
            context: context.clone(),
        };
        for gpu in common::gpus() {
            let outputs = case.run(gpu);
            let last = outputs.into_iter().find(|(name, _)| name == "unet.conv_out").unwrap();
            let problems =
                compare(&golden, &[(name.to_string(), last.1)], tolerance(gpu.target().storage));
            assert!(problems.is_empty(), "{}: {problems:?}", common::name(gpu));
        }
    }
}

#[test]
fn unet_of_stable_diffusion_1() {
    let file = "tests/golden/sd1-tiny/unet/config.json";
    let config: UnetConfig =
        parse_config(file, &std::fs::read_to_string(path(file)).unwrap()).unwrap();
    check_unet("sd1-tiny", &config.outline().unwrap());
}

#[test]
fn unet_at_a_size_that_it_cannot_halve_evenly() {
    let folder = "tests/golden/sd1-tiny";
    let file = bytes(&format!("{folder}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let text = std::fs::read_to_string(path(&format!("{folder}/unet/config.json"))).unwrap();
    let config: UnetConfig = parse_config("config.json", &text).unwrap();
    let weights = path(&format!("{folder}/unet/diffusion_pytorch_model.safetensors"));
    let (shape, sample) = common::golden(&golden, "odd.sample");
    let (context_shape, context) = common::golden(&golden, "unet.encoder_hidden_states");
    let case = UnetCase {
        weights: &Weights::open(weights).unwrap(),
        outline: &config.outline().unwrap(),
        sample_shape: [shape[0], shape[2], shape[3], shape[1]],
        sample: common::nhwc(&shape, &sample),
        timestep: json(&format!("{folder}/golden.json"))["odd"]["timestep"].as_f64().unwrap()
            as f32,
        context_shape: context_shape.try_into().unwrap(),
        context,
    };
    for gpu in common::gpus() {
        let (_, last) = case.run(gpu).pop().unwrap();
        let tolerance = tolerance(gpu.target().storage);
        let problems = compare(&golden, &[("odd.conv_out".into(), last)], tolerance);
        assert!(problems.is_empty(), "{}: {problems:?}", common::name(gpu));
    }
}

#[test]
fn unet_of_stable_diffusion_2() {
    let file = "tests/golden/sd2-tiny/unet/config.json";
    let config: UnetConfig =
        parse_config(file, &std::fs::read_to_string(path(file)).unwrap()).unwrap();
    check_unet("sd2-tiny", &config.outline().unwrap());
}

#[test]
fn unet_of_mobile_diffusion_with_relu_attention() {
    let file = "tests/golden/mobile-tiny/unet/config.json";
    let config: MobileConfig =
        parse_config(file, &std::fs::read_to_string(path(file)).unwrap()).unwrap();
    check_unet("mobile-tiny", &config.outline().unwrap());
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
        let mut problems = Vec::new();
        for gpu in common::gpus() {
            let outputs = run(gpu, &weights, &graph, &[("embeddings", &embeddings)]);
            problems.push((
                common::name(gpu),
                compare(&golden, &outputs, tolerance(gpu.target().storage)),
            ));
        }
        report(problems);
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
        let mut problems = Vec::new();
        for gpu in common::gpus() {
            let outputs = run(gpu, &weights, &graph, &[("in", &values)]);
            problems.push((
                common::name(gpu),
                compare(&golden, &outputs, tolerance(gpu.target().storage)),
            ));
        }
        report(problems);
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
