//! The UNet with guidance and sampler around it: one program before the steps, one for each step.

use super::component::Component;
use super::control::ControlNet;
use super::files::ModelFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::gpu::{Gpu, Link, Program};
use crate::graph::passes::{Phases, fuse, split_phases};
use crate::graph::{Builder, Scope, WeightIndex};
use crate::kernels::model_input::ModelInput;
use crate::kernels::scheduler_step::{SLOTS, SchedulerStep, keep, slot};
use crate::lora::Patches;
use crate::models::controlnet::controlnet;
use crate::models::mobile::MobileConfig;
use crate::models::unet::{Conditioning, Outline, Sizing, UnetConfig, unet};
use crate::models::{ClassName, parse_config};
use crate::schedulers::{Keep, Step};
use crate::shape::TensorType;
use crate::weights::View;
use std::sync::Arc;

/// The denoising network of a model.
pub(super) struct Denoiser {
    outline: Outline,
    /// The default height and width of the latents.
    pub sample_size: usize,
    /// Channels of the latents.
    pub channels: usize,
    /// Whether it is a MobileDiffusion UNet.
    pub mobile: bool,
    /// Whether it reads a mask and the latents of a masked picture as well.
    pub inpainting: bool,
    /// Width of the embedding of the guidance scale, where the network reads one.
    pub guidance_width: Option<usize>,
    control: Option<Outline>,
    /// Whether weights of the ControlNet may be on the GPU.
    uploaded_control: bool,
    component: Component<(Sizes, Phase)>,
}

/// How many numbers SDXL is told of sizes and crop.
pub(super) const SIZES: usize = 6;

/// What the programs are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Height of the latents.
    pub height: usize,
    /// Width of the latents.
    pub width: usize,
    /// Network evaluations a step, in one batch: 2 with guidance.
    pub copies: usize,
    /// Network evaluations in all, each with its timestep.
    pub steps: usize,
    /// Tokens of a text.
    pub tokens: usize,
    /// Width of a token's embedding.
    pub text_width: usize,
    /// Pixels along one side of a latent where a ControlNet sees a picture.
    pub control: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Prepare,
    Step,
}

/// The programs of both phases.
#[derive(Clone)]
pub(super) struct Programs {
    pub prepare: Arc<Program>,
    pub step: Arc<Program>,
}

/// What the names of a ControlNet's weights begin with, beside those of the UNet.
const CONTROL: &str = "controlnet.";

impl Denoiser {
    pub(super) fn open(files: &ModelFiles) -> Result<Denoiser> {
        let file = "unet/config.json";
        let text = files.text(file)?;
        let class: ClassName = parse_config(file, &text)?;
        let component = Component::new(files.weights("unet")?);
        let denoiser = match class.class_name.as_str() {
            "UNet2DConditionModel" => {
                let config: UnetConfig = parse_config(file, &text)?;
                Denoiser {
                    outline: config.outline().map_err(|error| error.context("unet"))?,
                    sample_size: config.sample_size.unwrap_or(64),
                    channels: config.out_channels,
                    mobile: false,
                    inpainting: config.in_channels != config.out_channels,
                    guidance_width: config.time_cond_proj_dim,
                    control: None,
                    uploaded_control: false,
                    component,
                }
            }
            "MobileDiffusionUNet" => {
                let config: MobileConfig = parse_config(file, &text)?;
                Denoiser {
                    outline: config.outline()?,
                    sample_size: config.sample_size,
                    channels: config.in_channels,
                    mobile: true,
                    inpainting: false,
                    guidance_width: None,
                    control: None,
                    uploaded_control: false,
                    component,
                }
            }
            other => {
                let message = format!(
                    "{file}: _class_name: expected \"UNet2DConditionModel\" or \
                     \"MobileDiffusionUNet\", got {other:?}"
                );
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        };
        let Denoiser { sample_size, channels, .. } = denoiser;
        for (key, value) in [("sample_size", sample_size), ("out_channels", channels)] {
            if !(1..=4096).contains(&value) {
                let message = format!("{file}: {key}: expected 1 to 4096, got {value}");
                return Err(Error::new(ErrorKind::Config, message));
            }
        }
        Ok(denoiser)
    }

    /// Puts a ControlNet beside the UNet, or takes it away.
    ///
    /// # Errors
    /// `Weights` if the ControlNet is for another family of models.
    pub(super) fn set_control(&mut self, control: Option<ControlNet>) -> Result<()> {
        let own = |name: &str| !name.starts_with(CONTROL);
        let keep = |name: &str, _: &[usize]| match own(name) {
            true => vec![(name.to_string(), View::Whole)],
            false => Vec::new(),
        };
        let mut weights = self.component.weights.clone().map_names(keep)?;
        let mut steering = None;
        if let Some(ControlNet { outline, weights: added }) = control {
            let (expected, got) = (text_width(&weights), text_width(&added));
            if expected != got || self.outline.size_embedding != outline.size_embedding {
                let words =
                    |width: Option<usize>| width.map_or("no text".into(), |w| w.to_string());
                let message = format!(
                    "controlnet: expected one for text embeddings of width {}, got {}: it is for \
                     another family of models",
                    words(expected),
                    words(got)
                );
                return Err(Error::new(ErrorKind::Weights, message));
            }
            let prefixed =
                |name: &str, _: &[usize]| vec![(format!("{CONTROL}{name}"), View::Whole)];
            weights = weights.merge(added.map_names(prefixed)?)?;
            steering = Some(outline);
        }
        self.control = steering;
        self.component = Component::new(weights);
        self.uploaded_control = false;
        Ok(())
    }

    /// The names of the UNet's weights.
    pub(super) fn names(&self) -> Vec<&str> {
        self.component.weights.names().filter(|name| !name.starts_with(CONTROL)).collect()
    }

    /// Adds to the weights, in place of what was added before.
    pub(super) fn set_patches(&mut self, patches: Patches) -> Result<()> {
        self.component.weights.set_patches(patches)?;
        self.component.unload();
        Ok(())
    }

    /// Whether there is a ControlNet.
    pub(super) fn has_control(&self) -> bool {
        self.control.is_some()
    }

    /// The width of the pooled text embeddings that the network reads.
    pub(super) fn pooled_width(&self) -> Option<usize> {
        let width = self.component.weights.shape("add_embedding.linear_1.weight")?.get(1)?;
        width.checked_sub(SIZES * self.outline.size_embedding?)
    }

    /// Forgets the programs of other sizes.
    pub(super) fn retain(&mut self, sizes: Sizes) {
        self.component.retain(|(known, _)| *known == sizes);
        // The plan of a picture without a ControlNet does not count its weights.
        if self.uploaded_control && sizes.control.is_none() {
            self.unload();
        }
    }

    pub(super) fn unload(&mut self) {
        self.uploaded_control = false;
        self.component.unload();
    }

    pub(super) fn bytes(&self) -> u64 {
        self.component.bytes()
    }

    /// The width of the token embeddings that the cross-attention was made for, if it has any.
    pub(super) fn text_width(&self) -> Option<usize> {
        text_width(&self.component.weights)
    }

    /// The graphs of both phases.
    ///
    /// Before the steps: `timesteps` `[S]` and `context` `[copies, T, D]`, and where the model reads
    /// them `pooled` `[copies, P]` and `sizes` `[copies·6]` (then `timesteps` once for each copy),
    /// `guidance` `[1, G]`, `masked` `[1, h, w, 1 + C]`, `picture` `[1, H, W, 3]`. In a step: `sample`
    /// `[1, h, w, C]`, `history` `[4, h, w, C]`, `noise` and the scalars `step`; the result
    /// `state` is the next sample, the history and the predicted image, one after the other.
    pub(super) fn graphs(&self, sizes: Sizes) -> Result<Phases> {
        let Sizes { height, width, copies, steps, tokens, text_width, control } = sizes;
        let builder = Builder::new();
        let m = Scope::new(&builder, "unet", &self.component.weights);
        m.ignore(CONTROL);
        let latents = |count: usize| TensorType::f32([count, height, width, self.channels]);
        let sizing = self.pooled_width().map(|pooled| Sizing {
            text: builder.input("pooled", TensorType::real([copies, pooled])),
            ids: builder.input("sizes", TensorType::f32([copies * SIZES])),
        });
        let rows = if sizing.is_some() { copies * steps } else { steps };
        let timesteps = builder.input("timesteps", TensorType::f32([rows]));
        let context = builder.input("context", TensorType::real([copies, tokens, text_width]));
        let embedding = |width| builder.input("guidance", TensorType::real([1, width]));
        let guidance = self.guidance_width.map(embedding);
        let sample = builder.input("sample", latents(1));
        let history = builder.input("history", latents(SLOTS));
        let noise = builder.input("noise", latents(1));
        let step = builder.input("step", TensorType::f32([slot::LEN]));

        let input = ModelInput { copies, scale: 1.0 };
        let copied = |name: &str, dims: [usize; 4]| {
            let given = builder.input(name, TensorType::f32(dims));
            builder.apply(input.clone(), &[Some(given)])
        };
        let scaled = builder.apply(input.clone(), &[Some(sample), Some(step)]);
        let conditioning = Conditioning { timesteps, step, context, sizing, guidance };
        // The guidance scale is the distilled network's own; no ControlNet reads it.
        let steering = Conditioning { guidance: None, ..conditioning };
        let residuals = control.zip(self.control.as_ref()).map(|(side, outline)| {
            let picture = copied("picture", [1, height * side, width * side, 3]);
            controlnet(&m.at(CONTROL.trim_end_matches('.')), outline, scaled, picture, steering)
        });
        let whole = match self.inpainting {
            true => scaled.concat(copied("masked", [1, height, width, 1 + self.channels])),
            false => scaled,
        };
        let output = unet(&m, &self.outline, whole, conditioning, residuals);
        let operands = [sample, history, output, noise, step].map(Some);
        builder.output("state", builder.apply(SchedulerStep { copies }, &operands));
        builder.carry("state", 0, "sample");
        builder.carry("state", 1, "history");
        let per_step = ["sample", "history", "noise", "step"];
        Ok(split_phases(fuse(builder.finish()?), &per_step))
    }

    /// The programs for these sizes.
    pub(super) async fn programs(&mut self, gpu: &Gpu, sizes: Sizes) -> Result<Programs> {
        let known = |phase| self.component.program(&(sizes, phase));
        if let (Some(prepare), Some(step)) = (known(Phase::Prepare), known(Phase::Step)) {
            return Ok(Programs { prepare, step });
        }
        let graphs = self.graphs(sizes)?;
        self.uploaded_control |= sizes.control.is_some();
        let key = (sizes, Phase::Prepare);
        let prepare = self.component.compile(gpu, key, &graphs.prepare, &[]).await?;
        let links: Vec<_> = graphs
            .prepare
            .outputs
            .iter()
            .map(|(name, _)| Link { from: &prepare, name: name.clone() })
            .collect();
        let key = (sizes, Phase::Step);
        let step = self.component.compile(gpu, key, &graphs.step, &links).await?;
        Ok(Programs { prepare, step })
    }
}

/// The width of the token embeddings that the cross-attention of these weights reads.
fn text_width(weights: &dyn WeightIndex) -> Option<usize> {
    let ends = ["attn2.to_k.weight", "attn2.to_kv.weight"];
    let name = weights.names().into_iter().find(|name| ends.iter().any(|e| name.ends_with(e)))?;
    weights.shape(&name)?.get(1).copied()
}

/// A sampler's step as the kernels read it.
pub(super) fn scalars(
    step: &Step,
    row: usize,
    guidance_scale: f32,
    control_scale: f32,
) -> [f32; slot::LEN] {
    let mut scalars = [0.0; slot::LEN];
    scalars[slot::ROW] = row as f32;
    scalars[slot::INPUT_SCALE] = step.input_scale;
    scalars[slot::GUIDANCE] = guidance_scale;
    scalars[slot::CONTROL] = control_scale;
    scalars[slot::CLIP] = step.clip.unwrap_or(0.0);
    scalars[slot::ORIGINAL..][..2].copy_from_slice(&step.original);
    scalars[slot::SAMPLE] = step.next.sample;
    scalars[slot::OUTPUT] = step.next.output;
    scalars[slot::FROM_ORIGINAL] = step.next.original;
    scalars[slot::NOISE] = step.next.noise;
    scalars[slot::HISTORY..][..SLOTS].copy_from_slice(&step.next.history);
    for (scalar, kept) in scalars[slot::KEEP..].iter_mut().zip(step.keep) {
        *scalar = match kept {
            Keep::Nothing => keep::NOTHING,
            Keep::Sample => keep::SAMPLE,
            Keep::Output => keep::OUTPUT,
            Keep::Original => keep::ORIGINAL,
        } as f32;
    }
    scalars
}
