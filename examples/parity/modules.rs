//! Compares the UNet, the autoencoder and a whole run with the reference.

use crate::reference::Reference;
use crate::report::Report;
use croquis::Result;
use croquis::diffusion::{Diffusion, Request};
use croquis::gpu::{Gpu, GpuWeights, Link, Program};
use croquis::internal::graph::passes::{fuse, split_phases};
use croquis::internal::graph::{Builder, Graph, Plan, Scope, Tensor};
use croquis::internal::kernels::scheduler_step::slot;
use croquis::internal::models::autoencoder::{AutoencoderConfig, decode, encode};
use croquis::internal::models::network::{DenoiserInputs, DenoiserShape};
use croquis::internal::models::unet::{UnetConfig, unet};
use croquis::internal::models::unet_network::UnetNetwork;
use croquis::internal::shape::TensorType;
use croquis::internal::weights::Weights;

/// Plans, uploads and compiles a graph.
pub fn program(gpu: &Gpu, weights: &Weights, graph: &Graph, links: &[Link<'_>]) -> Result<Program> {
    let plan = Plan::new(graph, gpu.target())?;
    let mut uploaded = GpuWeights::default();
    gpu.block_on(uploaded.upload(gpu, weights, &plan.weights))?;
    gpu.block_on(Program::new(gpu, plan, &uploaded, links))
}

/// One evaluation of the UNet; `case` is the prefix of its inputs in the reference.
pub fn unet_evaluation(
    gpu: &Gpu,
    reference: &Reference,
    case: &str,
    report: &mut Report,
) -> Result<()> {
    let config: UnetConfig = reference.config("unet")?;
    let network = UnetNetwork::new(&config)?;
    let weights = Weights::open(reference.weights("unet"))?;
    let key = |name: &str| format!("{case}.{name}");
    let (shape, sample) = reference.tensor(&key("sample"))?;
    let (context_shape, context) = reference.tensor(&key("encoder_hidden_states"))?;
    let timestep = reference.description[case]["timestep"].as_f64().unwrap_or(0.0) as f32;
    let added = match reference.has(&key("added.time_ids")) {
        true => Some((
            reference.tensor(&key("added.text_embeds"))?,
            reference.tensor(&key("added.time_ids"))?,
        )),
        false => None,
    };

    let builder = Builder::new();
    let m = Scope::new(&builder, "unet", &weights);
    let sample_input = real(&builder, "sample", &shape);
    let shape_of = DenoiserShape {
        height: shape[1],
        width: shape[2],
        copies: shape[0],
        steps: 1,
        tokens: context_shape[1],
        text_width: context_shape[2],
        pixels_per_latent: 8,
        controls: 0,
        image_prompt: false,
        rescales: false,
        keeps_picture: false,
    };
    let step = builder.input("step", TensorType::f32([slot::LEN]));
    let inputs = DenoiserInputs { builder: &builder, shape: shape_of, sample: sample_input, step };
    let conditioning = network.conditioning(&m, &inputs);
    // SDXL's time embeddings differ between items, so each item has its timestep.
    let timesteps = if added.is_some() { shape[0] } else { 1 };
    let prediction = unet(&m, network.outline(), sample_input, conditioning, &[]);
    builder.output("prediction", prediction);
    let phases = split_phases(fuse(builder.finish()?), &["sample", "step"]);

    let prepare = program(gpu, &weights, &phases.prepare, &[])?;
    prepare.write("timesteps", &vec![timestep; timesteps])?;
    prepare.write("context", &context)?;
    if let Some(((_, text), (_, ids))) = &added {
        prepare.write("text_embeds", text)?;
        prepare.write("time_ids", ids)?;
    }
    prepare.run();
    let names = phases.prepare.outputs.iter().map(|(name, _)| name.clone());
    let links: Vec<_> = names.map(|name| Link { from: &prepare, name }).collect();
    let step = program(gpu, &weights, &phases.step, &links)?;
    step.write("sample", &sample)?;
    step.write("step", &[0.0; slot::LEN])?;
    step.run();
    let got = gpu.block_on(step.read("prediction"))?;
    let (_, expected) = reference.tensor(&key("conv_out"))?;
    report.module(&format!("unet, {}×{}×{}", shape[0], shape[1], shape[2]), &got, &expected);
    Ok(())
}

fn real<'g>(builder: &'g Builder, name: &str, shape: &[usize]) -> Tensor<'g> {
    let tensor = match *shape {
        [n, h, w, c] => TensorType::real([n, h, w, c]),
        [b, t, d] => TensorType::real([b, t, d]),
        _ => TensorType::real([shape.iter().product()]),
    };
    builder.input(name, tensor)
}

/// Decoder and encoder of the autoencoder.
pub fn autoencoder(gpu: &Gpu, reference: &Reference, report: &mut Report) -> Result<()> {
    let config: AutoencoderConfig = reference.config("vae")?;
    let weights = Weights::open(reference.weights("vae"))?;
    for (input, output) in
        [("vae.decoder.latents", "vae.decoder.conv_out"), ("vae.encoder.image", "vae.quant_conv")]
    {
        let (shape, values) = reference.tensor(input)?;
        let builder = Builder::new();
        let m = Scope::new(&builder, "vae", &weights);
        let x = real(&builder, "in", &shape);
        let y =
            if input.contains("decoder") { decode(&m, &config, x) } else { encode(&m, &config, x) };
        builder.output("out", y);
        let program = program(gpu, &weights, &fuse(builder.finish()?), &[])?;
        program.write("in", &values)?;
        program.run();
        let got = gpu.block_on(program.read("out"))?;
        report.module(output, &got, &reference.tensor(output)?.1);
    }
    Ok(())
}

/// The whole run, from the prompt to the picture.
pub fn run(gpu: &Gpu, reference: &Reference, report: &mut Report) -> Result<()> {
    let described = &reference.description["runs"]["txt2img"];
    let number = |key: &str| described[key].as_u64().map(|n| n as usize);
    let request = Request {
        prompt: described["prompt"].as_str().unwrap_or_default().into(),
        negative_prompt: described["negative_prompt"].as_str().unwrap_or_default().into(),
        guidance_scale: described["guidance_scale"].as_f64().map(|scale| scale as f32),
        seed: described["seed"].as_u64().unwrap_or(0),
        steps: number("num_inference_steps"),
        width: number("width"),
        height: number("height"),
        ..Request::default()
    };
    let mut diffusion = Diffusion::open(gpu, &reference.files()?)?;
    let generated = diffusion.generate_blocking(&request)?;
    report.latents("run: latents", &generated.latents, &reference.raw("txt2img.latents")?);
    let (_, image) = reference.tensor("txt2img.image")?;
    let byte = |v: &f32| ((v / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
    let expected: Vec<u8> = image.iter().map(byte).collect();
    report.picture("run: picture", generated.picture.rgb(), &expected);
    Ok(())
}
