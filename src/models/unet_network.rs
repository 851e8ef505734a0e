//! The UNets as a [`Network`]: those of Stable Diffusion and of MobileDiffusion, with the inputs
//! that some of them read beside the text, and with ControlNets beside them.

use super::controlnet::controlnet;
use super::image_prompt::{
    ImagePrompt, ImageTokens, LATENTS, PROJECTION, ProjectionKind, linear_projection, resampler,
};
use super::mobile::MobileConfig;
use super::network::{DenoiserInputs, Network, NetworkFacts, RequestValues};
use super::numbered::{CONTROL, PICTURE, numbered};
use super::unet::{AddedConditioning, Conditioning, Outline, UnetConfig, guidance_embedding, unet};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Scope, Tensor, WeightIndex};

/// The number of SDXL's time ids: height and width of the original, top and left of the crop,
/// height and width of the target.
const TIME_IDS: usize = 6;

/// The number of those of its refiner, which reads an aesthetic score in place of the target.
const SCORED_TIME_IDS: usize = 5;

/// Sizes as the numbers that the network reads.
fn flat(sizes: &[[[usize; 2]; 3]]) -> impl Iterator<Item = f32> + '_ {
    sizes.as_flattened().as_flattened().iter().map(|size| *size as f32)
}

/// The aesthetic scores of the negative prompt and of the prompt, as in diffusers.
const SCORES: [f32; 2] = [2.5, 6.0];

/// A UNet, and the ControlNets that steer it.
pub struct UnetNetwork {
    outline: Outline,
    facts: NetworkFacts,
    /// Width of the embedding of the guidance scale, where the UNet reads one.
    guidance_width: Option<usize>,
    /// The number of time ids for each evaluation, where the UNet reads them.
    time_ids: usize,
    controls: Vec<Outline>,
    image_prompt: Option<ImagePrompt>,
}

impl UnetNetwork {
    /// A `UNet2DConditionModel`.
    ///
    /// # Errors
    /// `Unsupported` for variants that croquis does not have, by key and value.
    pub fn new(config: &UnetConfig) -> Result<UnetNetwork> {
        let facts = NetworkFacts {
            sample_size: config.sample_size.unwrap_or(64),
            channels: config.out_channels,
            patch: 1,
            inpainting: config.in_channels != config.out_channels,
            reads_guidance: config.time_cond_proj_dim.is_some(),
        };
        let guidance_width = config.time_cond_proj_dim;
        let time_ids = if config.reads_score() { SCORED_TIME_IDS } else { TIME_IDS };
        let (outline, controls, image_prompt) = (config.outline()?, Vec::new(), None);
        Ok(UnetNetwork { outline, facts, guidance_width, time_ids, controls, image_prompt })
    }

    /// A `MobileDiffusionUNet`.
    ///
    /// # Errors
    /// `Config` naming the key, what was expected and what was found.
    pub fn mobile(config: &MobileConfig) -> Result<UnetNetwork> {
        let facts = NetworkFacts {
            sample_size: config.sample_size,
            channels: config.in_channels,
            patch: 1,
            inpainting: false,
            reads_guidance: false,
        };
        let (outline, controls, image_prompt) = (config.outline()?, Vec::new(), None);
        let (guidance_width, time_ids) = (None, TIME_IDS);
        Ok(UnetNetwork { outline, facts, guidance_width, time_ids, controls, image_prompt })
    }

    /// The hyperparameters of the UNet.
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// The conditioning inputs of UNet and ControlNet, declared.
    pub fn conditioning<'g>(&self, m: &Scope<'g>, inputs: &DenoiserInputs<'g>) -> Conditioning<'g> {
        let shape = inputs.shape;
        let pooled = m.weight_shape("add_embedding.linear_1.weight");
        let added = self.pooled_from(pooled.as_deref()).map(|pooled| AddedConditioning {
            text_embeds: inputs.real("text_embeds", [shape.copies, pooled]),
            time_ids: inputs.f32("time_ids", [shape.copies * self.time_ids]),
        });
        // With them, each evaluation of the batch has a time embedding of its own.
        let rows = if added.is_some() { shape.copies * shape.steps } else { shape.steps };
        let guidance = self.guidance_width.map(|width| inputs.real("guidance", [1, width]));
        Conditioning {
            timesteps: inputs.f32("timesteps", [rows]),
            step: inputs.step,
            context: inputs.real("context", [shape.copies, shape.tokens, shape.text_width]),
            image: self.image_tokens(m, inputs),
            added,
            guidance,
        }
    }
}

impl Network for UnetNetwork {
    fn facts(&self) -> NetworkFacts {
        self.facts
    }

    fn predict<'g>(&self, m: &Scope<'g>, inputs: &DenoiserInputs<'g>) -> Tensor<'g> {
        m.ignore(CONTROL);
        let shape = inputs.shape;
        let conditioning = self.conditioning(m, inputs);
        // The guidance scale is the distilled network's own, the picture's keys are the adapter's.
        let steering = Conditioning { guidance: None, image: None, ..conditioning };
        let side = shape.pixels_per_latent;
        let dims = [1, shape.height * side, shape.width * side, 3];
        let controls = self.controls.iter().take(shape.controls).enumerate();
        let residuals: Vec<_> = controls
            .map(|(index, outline)| {
                let picture = inputs.repeated(&numbered(PICTURE, index), dims);
                let m = m.at(numbered(CONTROL, index));
                controlnet(&m, outline, inputs.sample, picture, steering, index)
            })
            .collect();
        let whole = match self.facts.inpainting {
            true => {
                let dims = [1, shape.height, shape.width, 1 + self.facts.channels];
                inputs.sample.concat(inputs.repeated("masked", dims))
            }
            false => inputs.sample,
        };
        unet(m, &self.outline, whole, conditioning, &residuals)
    }

    fn values(&self, request: &RequestValues) -> Vec<(&'static str, Vec<f32>)> {
        let ids = match self.time_ids {
            TIME_IDS => flat(&request.sizes).collect(),
            _ => {
                let negative = |copy| request.copies > 1 && copy == 0;
                let ids = |copy: usize| {
                    let sizes = &request.sizes[copy.min(request.sizes.len() - 1)..];
                    let score = SCORES[usize::from(!negative(copy))];
                    flat(sizes).take(SCORED_TIME_IDS - 1).chain([score])
                };
                (0..request.copies).flat_map(ids).collect()
            }
        };
        let mut values = vec![("time_ids", ids)];
        if let Some(width) = self.guidance_width {
            values.push(("guidance", guidance_embedding(request.guidance_scale, width)));
        }
        values
    }

    fn text_width(&self, weights: &dyn WeightIndex) -> Option<usize> {
        text_width(weights)
    }

    fn pooled_width(&self, weights: &dyn WeightIndex) -> Option<usize> {
        self.pooled_from(weights.shape("add_embedding.linear_1.weight").as_deref())
    }

    fn set_controls(&mut self, controls: Vec<Outline>) -> Result<()> {
        let expected = self.outline.size_embedding;
        let sizes = controls.iter().map(|outline| outline.size_embedding);
        if let Some((index, got)) = sizes.enumerate().find(|(_, got)| *got != expected) {
            let words = |width: Option<usize>| match width {
                Some(width) => format!("an embedding of picture sizes of width {width}"),
                None => "no embedding of picture sizes".into(),
            };
            let message = format!(
                "{}: expected one with {}, got one with {}: it is for another family of models",
                numbered(CONTROL, index),
                words(expected),
                words(got)
            );
            return Err(Error::new(ErrorKind::Weights, message));
        }
        self.controls = controls;
        Ok(())
    }

    fn set_image_prompt(&mut self, prompt: Option<ImagePrompt>) -> Result<()> {
        self.image_prompt = prompt;
        Ok(())
    }
}

impl UnetNetwork {
    /// The tokens of a picture that prompts, if the shape has one.
    fn image_tokens<'g>(
        &self,
        m: &Scope<'g>,
        inputs: &DenoiserInputs<'g>,
    ) -> Option<ImageTokens<'g>> {
        let prompt = self.image_prompt.filter(|_| inputs.shape.image_prompt);
        let Some(ImagePrompt { kind, tokens, width }) = prompt else {
            m.ignore(PROJECTION);
            return None;
        };
        let copies = inputs.shape.copies;
        let embeddings = inputs.real("image_embeds", [copies, tokens, width]);
        let projection = m.at(PROJECTION);
        let tokens = match (kind, m.weight_shape(LATENTS).as_deref()) {
            (ProjectionKind::Resampler, Some(&[1, queries, inner])) => {
                let latents = inputs.real("image_latents", [copies, queries, inner]);
                resampler(&projection, embeddings, latents)
            }
            (ProjectionKind::Resampler, other) => {
                let message = format!("latents: expected [1, _, _], got {other:?}");
                projection.fail(ErrorKind::Weights, message);
                return None;
            }
            (ProjectionKind::Linear, _) => linear_projection(&projection, embeddings),
        };
        Some(ImageTokens { tokens, scale: inputs.f32("image_scale", [1]) })
    }

    /// The width of the pooled text among the inputs of the added embedding.
    fn pooled_from(&self, added: Option<&[usize]>) -> Option<usize> {
        added?.get(1)?.checked_sub(self.time_ids * self.outline.size_embedding?)
    }
}

/// The width of the token embeddings that the cross-attention of a UNet or ControlNet reads.
pub fn text_width(weights: &dyn WeightIndex) -> Option<usize> {
    let ends = ["attn2.to_k.weight", "attn2.to_kv.weight"];
    let names = weights.names();
    let name = names.iter().find(|name| ends.iter().any(|end| name.ends_with(end)))?;
    weights.shape(name)?.get(1).copied()
}
