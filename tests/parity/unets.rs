//! Every block of every UNet, both phases of it: a failure names the first block that diverges.

use crate::blocks::{assert_complete, compare, read_all, report, tolerance, upload};
use crate::{bytes, common, json, path};
use croquis::gpu::{Gpu, Link};
use croquis::graph::passes::{fuse, split_phases};
use croquis::graph::{Builder, Graph, Scope};
use croquis::kernels::scheduler_step::slot;
use croquis::models::mobile::MobileConfig;
use croquis::models::parse_config;
use croquis::models::unet::{Outline, UnetConfig, UnetInputs, unet};
use croquis::shape::TensorType;
use croquis::weights::Weights;
use safetensors::SafeTensors;

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
