//! Every block of every UNet, both phases of it: a failure names the first block that diverges.

use crate::blocks::{assert_complete, check_everywhere, read_all, upload};
use crate::{bytes, common, json, path};
use croquis::gpu::{Gpu, Link};
use croquis::graph::passes::{fuse, split_phases};
use croquis::graph::{Builder, Graph, Scope};
use croquis::kernels::scheduler_step::slot;
use croquis::models::mobile::MobileConfig;
use croquis::models::parse_config;
use croquis::models::unet::{Conditioning, Outline, UnetConfig, unet};
use croquis::shape::TensorType;
use croquis::weights::Weights;
use safetensors::SafeTensors;
use serde::de::DeserializeOwned;

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
        let sample = builder.input("sample", TensorType::real(self.sample_shape));
        let conditioning = Conditioning {
            timesteps: builder.input("timesteps", TensorType::f32([2])),
            step: builder.input("step", TensorType::f32([slot::LEN])),
            context: builder.input("context", TensorType::real(self.context_shape)),
            sizing: None,
            guidance: None,
        };
        unet(&m, self.outline, sample, conditioning, None);
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

/// The golden tensors of a UNet's inputs and its timestep.
struct Inputs<'a> {
    sample: &'a str,
    context: &'a str,
    timestep: f32,
}

impl<'a> UnetCase<'a> {
    fn new(
        golden: &SafeTensors<'_>,
        weights: &'a Weights,
        outline: &'a Outline,
        inputs: Inputs<'_>,
    ) -> Self {
        let (shape, sample) = common::golden(golden, inputs.sample);
        let (context_shape, context) = common::golden(golden, inputs.context);
        UnetCase {
            weights,
            outline,
            sample_shape: [shape[0], shape[2], shape[3], shape[1]],
            sample: common::nhwc(&shape, &sample),
            timestep: inputs.timestep,
            context_shape: context_shape.try_into().unwrap(),
            context,
        }
    }

    /// Checks the last output alone against a golden tensor, on every device.
    fn check_last(&self, golden: &SafeTensors<'_>, name: &str) {
        check_everywhere(golden, |gpu| {
            let outputs = self.run(gpu);
            let last = outputs.into_iter().find(|(name, _)| name == "unet.conv_out").unwrap();
            vec![(name.to_string(), last.1)]
        });
    }
}

fn open_weights(folder: &str) -> Weights {
    Weights::open(path(&format!("{folder}/unet/diffusion_pytorch_model.safetensors"))).unwrap()
}

fn config<C: DeserializeOwned>(folder: &str) -> C {
    let file = format!("{folder}/unet/config.json");
    parse_config(&file, &std::fs::read_to_string(path(&file)).unwrap()).unwrap()
}

/// A number that `golden.json` gives for one of its cases.
fn timestep(folder: &str, case: &str) -> f32 {
    json(&format!("{folder}/golden.json"))[case]["timestep"].as_f64().unwrap() as f32
}

const CONTEXT: &str = "unet.encoder_hidden_states";

/// Checks every block.
fn check_unet(folder: &str, outline: &Outline) {
    let file = bytes(&format!("{folder}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let weights = open_weights(folder);
    let timestep = timestep(folder, "unet");
    let inputs = Inputs { sample: "unet.sample", context: CONTEXT, timestep };
    let case = UnetCase::new(&golden, &weights, outline, inputs);
    assert_complete(&golden, &["unet."], &["unet.sample", CONTEXT], &case.graph());
    check_everywhere(&golden, |gpu| case.run(gpu));
}

#[test]
fn unet_of_stable_diffusion_1() {
    let folder = "tests/golden/sd1-tiny";
    check_unet(folder, &config::<UnetConfig>(folder).outline().unwrap());
}

#[test]
fn unet_of_stable_diffusion_2() {
    let folder = "tests/golden/sd2-tiny";
    check_unet(folder, &config::<UnetConfig>(folder).outline().unwrap());
}

#[test]
fn unet_of_mobile_diffusion_with_relu_attention() {
    let folder = "tests/golden/mobile-tiny";
    check_unet(folder, &config::<MobileConfig>(folder).outline().unwrap());
}

#[test]
fn unet_at_a_size_that_it_cannot_halve_evenly() {
    let folder = "tests/golden/sd1-tiny";
    let file = bytes(&format!("{folder}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let (weights, outline) =
        (open_weights(folder), config::<UnetConfig>(folder).outline().unwrap());
    let timestep = timestep(folder, "odd");
    let inputs = Inputs { sample: "odd.sample", context: CONTEXT, timestep };
    UnetCase::new(&golden, &weights, &outline, inputs).check_last(&golden, "odd.conv_out");
}

#[test]
fn unet_of_the_embedded_model_at_three_timesteps() {
    let folder = "models/emoji-64";
    let file = bytes(&format!("{folder}/golden/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let (weights, outline) =
        (open_weights(folder), config::<MobileConfig>(folder).outline().unwrap());
    let names: Vec<_> =
        golden.names().into_iter().filter(|n| n.starts_with("unet_out_t")).collect();
    assert!(!names.is_empty());
    for name in names {
        let timestep = name["unet_out_t".len()..].parse().unwrap();
        let inputs = Inputs { sample: "initial_latents", context: "text_embeds", timestep };
        UnetCase::new(&golden, &weights, &outline, inputs).check_last(&golden, name);
    }
}
