//! Every block of every UNet, in both phases: a failure names the first block that differs.

use crate::blocks::{assert_complete, check_everywhere, read_all, tolerance, upload};
use crate::{bytes, common, json, path};
use croquis::gpu::{Gpu, Link, Program};
use croquis::internal::graph::passes::{fuse, split_phases};
use croquis::internal::graph::{Builder, Graph, Scope, Tensor};
use croquis::internal::kernels::scheduler_step::slot;
use croquis::internal::models::controlnet::controlnet;
use croquis::internal::models::mobile::MobileConfig;
use croquis::internal::models::network::{DenoiserInputs, DenoiserShape};
use croquis::internal::models::parse_config;
use croquis::internal::models::unet::{Conditioning, UnetConfig, guidance_embedding, unet};
use croquis::internal::models::unet_network::UnetNetwork;
use croquis::internal::shape::TensorType;
use croquis::internal::weights::{View, Weights};
use safetensors::SafeTensors;
use serde::de::DeserializeOwned;

/// A UNet and the values of its inputs, as `[N, H, W, C]`.
pub struct UnetCase<'a> {
    weights: &'a Weights,
    network: &'a UnetNetwork,
    sample_shape: [usize; 4],
    timestep: f32,
    context_shape: [usize; 3],
    /// Whether the UNet reads pooled text and time ids.
    added: bool,
    /// Values of the inputs except timesteps and step.
    values: Vec<(&'static str, Vec<f32>)>,
}

impl UnetCase<'_> {
    /// The conditioning inputs, declared as the pipeline declares them, for a batch of as many
    /// evaluations as the sample has items.
    fn conditioning<'g>(&self, m: &Scope<'g>, sample: Tensor<'g>) -> Conditioning<'g> {
        let ([copies, height, width, _], [_, tokens, text_width]) =
            (self.sample_shape, self.context_shape);
        let (steps, pixels_per_latent, controls, keeps_picture) = (2, 8, 0, false);
        let shape = DenoiserShape {
            height,
            width,
            copies,
            steps,
            tokens,
            text_width,
            pixels_per_latent,
            controls,
            image_prompt: false,
            rescales: false,
            keeps_picture,
        };
        let builder = m.builder();
        let step = builder.input("step", TensorType::f32([slot::LEN]));
        self.network.conditioning(m, &DenoiserInputs { builder, shape, sample, step })
    }

    /// Two timesteps, of which the second is used, so that the selection of its row is tested too.
    fn timesteps(&self) -> Vec<f32> {
        let items = if self.added { self.sample_shape[0] } else { 1 };
        [17.0, self.timestep].repeat(items)
    }

    /// The graph with every block's output.
    pub fn graph(&self) -> Graph {
        let builder = Builder::new();
        let m = Scope::new(&builder, "unet", self.weights);
        let sample = builder.input("sample", TensorType::real(self.sample_shape));
        unet(&m, self.network.outline(), sample, self.conditioning(&m, sample), &[]);
        fuse(builder.finish_with_taps().unwrap())
    }

    /// Runs a graph and reads every block's output in the order of computation.
    pub fn run(&self, gpu: &Gpu, graph: Graph) -> Vec<(String, Vec<f32>)> {
        let phases = split_phases(graph, &["sample", "step"]);
        let weights = upload(gpu, self.weights, &phases.prepare);
        let prepare = common::program(gpu, &phases.prepare, &weights, &[]);
        prepare.write("timesteps", &self.timesteps()).unwrap();
        let write = |program: &Program| {
            for (name, values) in &self.values {
                if program.plan().input(name).is_some() {
                    program.write(name, values).unwrap();
                }
            }
        };
        write(&prepare);
        prepare.run();
        let names = phases.prepare.outputs.iter().map(|(name, _)| name.clone());
        let links: Vec<_> = names.map(|name| Link { from: &prepare, name }).collect();
        let weights = upload(gpu, self.weights, &phases.step);
        let program = common::program(gpu, &phases.step, &weights, &links);
        let mut step = [0.0; slot::LEN];
        (step[slot::ROW], step[slot::CONTROL]) = (1.0, 1.0);
        write(&program);
        program.write("step", &step).unwrap();
        program.run();
        let mut outputs = read_all(gpu, &prepare, &phases.prepare);
        outputs.retain(|(name, _)| name.starts_with("unet.") || name.starts_with("controlnet."));
        outputs.extend(read_all(gpu, &program, &phases.step));
        outputs
    }
}

/// The golden tensors of a UNet's inputs and its timestep.
pub struct Inputs<'a> {
    pub sample: &'a str,
    pub context: &'a str,
    pub timestep: f32,
}

impl<'a> UnetCase<'a> {
    pub fn new(
        golden: &SafeTensors<'_>,
        weights: &'a Weights,
        network: &'a UnetNetwork,
        inputs: Inputs<'_>,
    ) -> Self {
        let (shape, sample) = common::golden(golden, inputs.sample);
        let (context_shape, context) = common::golden(golden, inputs.context);
        let mut values =
            vec![("sample", common::nhwc(&shape, &sample)), ("context", context.clone())];
        let optional = |name: &str| golden.tensor(name).ok().map(|_| common::golden(golden, name));
        let added = optional("unet.added.text_embeds").map(|(_, text)| {
            let (_, ids) = common::golden(golden, "unet.added.time_ids");
            values.extend([("text_embeds", text), ("time_ids", ids)]);
        });
        UnetCase {
            weights,
            network,
            sample_shape: [shape[0], shape[2], shape[3], shape[1]],
            timestep: inputs.timestep,
            context_shape: context_shape.try_into().unwrap(),
            added: added.is_some(),
            values,
        }
    }

    /// Checks the last output alone against a golden tensor, on every device.
    pub fn check_last(&self, golden: &SafeTensors<'_>, name: &str) {
        check_everywhere(golden, |gpu| {
            let outputs = self.run(gpu, self.graph());
            let last = outputs.into_iter().find(|(name, _)| name == "unet.conv_out").unwrap();
            vec![(name.to_string(), last.1)]
        });
    }
}

pub fn open_weights(folder: &str) -> Weights {
    Weights::open(path(&format!("{folder}/unet/diffusion_pytorch_model.safetensors"))).unwrap()
}

fn config<C: DeserializeOwned>(folder: &str) -> C {
    let file = format!("{folder}/unet/config.json");
    parse_config(&file, &std::fs::read_to_string(path(&file)).unwrap()).unwrap()
}

/// The UNet of a diffusers folder.
pub fn network(folder: &str) -> UnetNetwork {
    UnetNetwork::new(&config(folder)).unwrap()
}

/// The UNet of a folder of MobileDiffusion.
fn mobile_network(folder: &str) -> UnetNetwork {
    UnetNetwork::mobile(&config::<MobileConfig>(folder)).unwrap()
}

/// A number of a case in `golden.json`.
pub fn timestep(folder: &str, case: &str) -> f32 {
    json(&format!("{folder}/golden.json"))[case]["timestep"].as_f64().unwrap() as f32
}

pub const CONTEXT: &str = "unet.encoder_hidden_states";

/// Checks every block of a UNet.
fn check_unet(folder: &str, network: &UnetNetwork) {
    let file = bytes(&format!("{folder}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let weights = open_weights(folder);
    let timestep = timestep(folder, "unet");
    let inputs = Inputs { sample: "unet.sample", context: CONTEXT, timestep };
    let case = UnetCase::new(&golden, &weights, network, inputs);
    let inputs = ["unet.sample", CONTEXT, "unet.added.text_embeds", "unet.added.time_ids"];
    assert_complete(&golden, &["unet."], &inputs, &case.graph());
    check_everywhere(&golden, |gpu| case.run(gpu, case.graph()));
}

#[test]
fn unet_of_stable_diffusion_1() {
    let folder = "tests/golden/sd1-tiny";
    check_unet(folder, &network(folder));
}

#[test]
fn unet_of_stable_diffusion_2() {
    let folder = "tests/golden/sd2-tiny";
    check_unet(folder, &network(folder));
}

#[test]
fn unet_of_stable_diffusion_xl() {
    let folder = "tests/golden/sdxl-tiny";
    check_unet(folder, &network(folder));
}

#[test]
fn unet_that_paints_into_pictures() {
    let folder = "tests/golden/sd1-inpaint-tiny";
    check_unet(folder, &network(folder));
}

#[test]
fn distilled_unets_with_fewer_and_irregular_layers() {
    for folder in ["tests/golden/bksdm-tiny", "tests/golden/ssd1b-tiny"] {
        check_unet(folder, &network(folder));
    }
}

#[test]
fn unet_that_reads_the_guidance_scale() {
    let folder = "tests/golden/lcm-tiny";
    let file = bytes(&format!("{folder}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let (weights, config) = (open_weights(folder), config::<UnetConfig>(folder));
    let (network, timestep) = (UnetNetwork::new(&config).unwrap(), timestep(folder, "unet"));
    let width = config.time_cond_proj_dim.unwrap();
    let scales = &json(&format!("{folder}/golden.json"))["unet"]["guidance_scale"];
    let (_, embeddings) = common::golden(&golden, "unet.timestep_cond");
    let (shape, expected) = common::golden(&golden, "unet.conv_out");
    let expected = common::nhwc(&shape, &expected);
    for (item, scale) in scales.as_array().unwrap().iter().enumerate() {
        let embedding = guidance_embedding(scale.as_f64().unwrap() as f32, width);
        let error = common::relative_l2(&embedding, &embeddings[item * width..][..width]);
        assert!(error < 1e-3, "embedding of guidance scale {scale}: {error:.1e}");
        // The items of the reference differ in their guidance; ours share one, so that one counts.
        let inputs = Inputs { sample: "unet.sample", context: CONTEXT, timestep };
        let mut case = UnetCase::new(&golden, &weights, &network, inputs);
        case.values.push(("guidance", embedding));
        for gpu in common::gpus() {
            let outputs = case.run(gpu, case.graph());
            let (_, got) = outputs.iter().find(|(name, _)| name == "unet.conv_out").unwrap();
            let half = got.len() / 2;
            let [got, other] = [item, 1 - item].map(|i| &got[i * half..][..half]);
            let error = common::relative_l2(got, &expected[item * half..][..half]);
            assert!(error < tolerance(gpu.target().storage), "{}: {error:.1e}", common::name(gpu));
            let wrong = common::relative_l2(other, &expected[(1 - item) * half..][..half]);
            assert!(wrong > 1e-2, "the guidance scale has an effect: {wrong:.1e}");
        }
    }
}

#[test]
fn controlnet_and_the_unet_that_it_steers() {
    let folder = "tests/golden/controlnet-tiny";
    let file = bytes(&format!("{folder}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let prefixed = |name: &str, _: &[usize]| vec![(format!("controlnet.{name}"), View::Whole)];
    let file = format!("{folder}/controlnet/diffusion_pytorch_model.safetensors");
    let control = Weights::open(path(&file)).and_then(|w| w.map_names(prefixed)).unwrap();
    let weights = open_weights("tests/golden/sd1-tiny").merge(control).unwrap();
    let network = network("tests/golden/sd1-tiny");
    let file = format!("{folder}/controlnet/config.json");
    let text = std::fs::read_to_string(path(&file)).unwrap();
    let control_outline =
        parse_config::<UnetConfig>(&file, &text).and_then(|config| config.outline()).unwrap();

    let inputs = Inputs {
        sample: "controlnet.sample",
        context: "controlnet.encoder_hidden_states",
        timestep: timestep(folder, "controlnet"),
    };
    let mut case = UnetCase::new(&golden, &weights, &network, inputs);
    let (shape, picture) = common::golden(&golden, "controlnet.image");
    case.values.push(("picture", common::nhwc(&shape, &picture)));
    let graph = || {
        let builder = Builder::new();
        let m = Scope::new(&builder, "", &weights);
        let sample = builder.input("sample", TensorType::real(case.sample_shape));
        let dims = [shape[0], shape[2], shape[3], shape[1]];
        let picture = builder.input("picture", TensorType::real(dims));
        let conditioning = case.conditioning(&m, sample);
        let residuals =
            controlnet(&m.at("controlnet"), &control_outline, sample, picture, conditioning, 0);
        // The UNet's own blocks are tapped under their names alone; only its last counts here.
        let output = unet(&m, network.outline(), sample, conditioning, &[residuals]);
        builder.output("unet.conv_out", output);
        let mut graph = builder.finish_with_taps().unwrap();
        let ours = |name: &str| name.starts_with("controlnet.c") || name == "unet.conv_out";
        graph.outputs.retain(|(name, _)| ours(name));
        fuse(graph)
    };
    let inside =
        |name: &str| ["resnets", "attentions", "samplers"].iter().any(|part| name.contains(part));
    let inputs: Vec<_> = golden.names().into_iter().filter(|name| inside(name)).collect();
    let given = ["controlnet.sample", "controlnet.encoder_hidden_states", "controlnet.image"];
    let inputs = [&inputs[..], &given, &["controlnet.time_embedding"]].concat();
    assert_complete(&golden, &["controlnet.", "unet."], &inputs, &graph());
    check_everywhere(&golden, |gpu| case.run(gpu, graph()));
}

#[test]
fn unet_of_mobile_diffusion_with_relu_attention() {
    let folder = "tests/golden/mobile-tiny";
    check_unet(folder, &mobile_network(folder));
}

#[test]
fn unet_at_a_size_that_it_cannot_halve_evenly() {
    let folder = "tests/golden/sd1-tiny";
    let file = bytes(&format!("{folder}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let (weights, network) = (open_weights(folder), network(folder));
    let timestep = timestep(folder, "odd");
    let inputs = Inputs { sample: "odd.sample", context: CONTEXT, timestep };
    UnetCase::new(&golden, &weights, &network, inputs).check_last(&golden, "odd.conv_out");
}

#[test]
fn unet_of_the_embedded_model_at_three_timesteps() {
    let folder = "models/emoji-64";
    let file = bytes(&format!("{folder}/golden/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let (weights, network) = (open_weights(folder), mobile_network(folder));
    let names: Vec<_> =
        golden.names().into_iter().filter(|n| n.starts_with("unet_out_t")).collect();
    assert!(!names.is_empty());
    for name in names {
        let timestep = name["unet_out_t".len()..].parse().unwrap();
        let inputs = Inputs { sample: "initial_latents", context: "text_embeds", timestep };
        UnetCase::new(&golden, &weights, &network, inputs).check_last(&golden, name);
    }
}
