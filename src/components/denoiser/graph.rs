//! The graph of a denoiser: guidance and sampler around a network.

use crate::error::Result;
use crate::graph::passes::{Phases, fuse, split_phases};
use crate::graph::{Builder, Scope, WeightIndex};
use crate::kernels::blend::Blend;
use crate::kernels::compose::Compose;
use crate::kernels::guidance_rescale::GuidanceRescale;
use crate::kernels::model_input::ModelInput;
use crate::kernels::scheduler_step::{SLOTS, SchedulerStep, slot};
use crate::models::network::{DenoiserInputs, DenoiserShape, Network};
use crate::shape::TensorType;

/// The inputs that change with the step.
pub(super) const PER_STEP: [&str; 4] = ["sample", "history", "noise", "step"];

/// The graphs of both phases.
///
/// `folder` names the network in messages. Inputs of a step are `sample` `[1, h, w, C]`, `history` `[5, h, w, C]`, `noise` and the scalars
/// `step`; the network declares all others. The result `state` is the next sample, the history and
/// the predicted picture, one after the other; the first two are carried over to the next step.
///
/// With more than two copies, those from the second on are of prompts that are composed with the
/// weights `prompt_weights` `[copies - 1]`.
///
/// Where a part of a picture is kept (inpainting with a network that was not trained for it), the
/// next sample is `blended` instead: `image` `[1, h, w, C]` with `image_noise` at the next step's
/// noise level where `mask` `[1, h, w, 1]` is 0.
pub(super) fn phases(
    folder: &str,
    network: &dyn Network,
    weights: &dyn WeightIndex,
    shape: DenoiserShape,
) -> Result<Phases> {
    let channels = network.facts().channels;
    let builder = Builder::new();
    let m = Scope::new(&builder, folder, weights);
    let latents = |count: usize| TensorType::f32([count, shape.height, shape.width, channels]);
    let sample = builder.input("sample", latents(1));
    let history = builder.input("history", latents(SLOTS));
    let noise = builder.input("noise", latents(1));
    let step = builder.input("step", TensorType::f32([slot::LEN]));

    let copies = shape.copies;
    let input = ModelInput { copies, scale: 1.0 };
    let scaled = builder.apply(input, &[Some(sample), Some(step)]);
    let inputs = DenoiserInputs { builder: &builder, shape, sample: scaled, step };
    let output = network.predict(&m, &inputs);
    let (output, copies) = match copies {
        ..=2 => (output, copies),
        _ => {
            let prompts = copies - 1;
            let weights = builder.input("prompt_weights", TensorType::f32([prompts]));
            (builder.apply(Compose { prompts }, &[Some(output), Some(weights)]), 2)
        }
    };
    let rescale =
        shape.rescales.then(|| builder.apply(GuidanceRescale, &[Some(output), Some(step)]));
    let [sample, history, noise, step] = [sample, history, noise, step].map(Some);
    let operands = [sample, history, Some(output), noise, step, rescale];
    let state = builder.apply(SchedulerStep { copies }, &operands);
    builder.output("state", state);
    match shape.keeps_picture {
        false => builder.carry("state", 0, "sample"),
        true => {
            let image = builder.input("image", latents(1));
            let noise = builder.input("image_noise", latents(1));
            let mask = TensorType::f32([1, shape.height, shape.width, 1]);
            let [state, image, noise] = [state, image, noise].map(Some);
            let operands = [state, image, noise, Some(builder.input("mask", mask)), step];
            builder.output("blended", builder.apply(Blend, &operands));
            builder.carry("blended", 0, "sample");
        }
    }
    builder.carry("state", 1, "history");
    Ok(split_phases(fuse(builder.finish()?), &PER_STEP))
}
