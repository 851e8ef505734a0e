//! The interface between networks and the pipeline that runs them: a pipeline knows a network by
//! its facts and by the names of its inputs only.

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Builder, Scope, Tensor, WeightIndex};
use crate::kernels::model_input::ModelInput;
use crate::models::image_prompt::ImagePrompt;
use crate::models::unet::Outline;
use crate::shape::TensorType;
use crate::weights::Weights;

/// The shapes that a denoiser's graph is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DenoiserShape {
    /// Height of the latents.
    pub height: usize,
    /// Width of the latents.
    pub width: usize,
    /// Evaluations of the network in a step, in one batch: 2 with classifier-free guidance, 1 + n with n
    /// prompts that are composed. The unconditional one is the first.
    pub copies: usize,
    /// Steps of the sampler, each with its timestep.
    pub steps: usize,
    /// Tokens of a text.
    pub tokens: usize,
    /// Width of a token's embedding.
    pub text_width: usize,
    /// Pixels along one side of a latent.
    pub pixels_per_latent: usize,
    /// ControlNets, each of which sees a picture.
    pub controls: usize,
    /// Whether a picture prompts beside the text.
    pub image_prompt: bool,
    /// Whether the guided output is rescaled by the conditional output's contrast.
    pub rescales: bool,
    /// Whether the part of a picture outside a mask is kept by noising it anew in every step.
    pub keeps_picture: bool,
}

/// Facts about a denoising network.
#[derive(Clone, Copy, Debug)]
pub struct NetworkFacts {
    /// The default height and width of the latents.
    pub sample_size: usize,
    /// Channels of the latents.
    pub channels: usize,
    /// Latents along one side of a patch that the network reads as one token; 1 for UNets. Height and
    /// width of the latents must be multiples of it.
    pub patch: usize,
    /// Whether it was trained for inpainting: it reads a mask and the latents of a masked picture.
    pub inpainting: bool,
    /// Whether it reads the guidance scale, so that one evaluation a step is enough.
    pub reads_guidance: bool,
}

/// Values of a request from which a network makes inputs of its own.
#[derive(Clone, Debug)]
pub struct RequestValues {
    /// The guidance scale.
    pub guidance_scale: f32,
    /// Sizes in pixels as SDXL's micro-conditioning has them (Podell et al., arXiv 2307.01952, section
    /// 2.2): height and width of the original, top and left of the crop, height and width of the
    /// target. One for all evaluations of the batch, or one for each.
    pub sizes: Vec<[[usize; 2]; 3]>,
    /// Network evaluations a step: with guidance the first is for the negative prompt.
    pub copies: usize,
}

/// The tensors that a denoising network is given, and the means to declare further inputs.
pub struct DenoiserInputs<'g> {
    /// The graph under construction.
    pub builder: &'g Builder,
    /// The shapes to build for.
    pub shape: DenoiserShape,
    /// The noisy latents, scaled for the network: `[copies, h, w, C]`.
    pub sample: Tensor<'g>,
    /// The scalars of the current step, F32 `[40]`; see
    /// [`slot`](crate::kernels::scheduler_step::slot).
    pub step: Tensor<'g>,
}

impl<'g> DenoiserInputs<'g> {
    /// Declares an input in the storage type of the activations. Its values are the request's of
    /// that name; see [`Network::values`].
    pub fn real<const R: usize>(&self, name: &str, dims: [usize; R]) -> Tensor<'g> {
        self.builder.input(name, TensorType::real(dims))
    }

    /// Declares an input of 32-bit floats.
    pub fn f32<const R: usize>(&self, name: &str, dims: [usize; R]) -> Tensor<'g> {
        self.builder.input(name, TensorType::f32(dims))
    }

    /// Declares an input of 32-bit floats `[1, h, w, C]`, repeated for every evaluation in the
    /// batch: `[copies, h, w, C]` in the storage type of the activations.
    pub fn repeated(&self, name: &str, dims: [usize; 4]) -> Tensor<'g> {
        let input = ModelInput { copies: self.shape.copies, scale: 1.0 };
        self.builder.apply(input, &[Some(self.f32(name, dims))])
    }
}

/// A denoising network: the prediction for noisy latents, given a timestep and conditions.
///
/// Inputs are named. The pipeline has values for `timesteps` `[steps]`, `context` `[copies, tokens,
/// text_width]`, `text_embeds` `[copies, P]` (pooled text embeddings), `masked` `[h, w, 1 + C]` (mask and
/// latents of the masked picture), `picture`, `picture_1`, … `[H, W, 3]` (for ControlNets), and for a
/// picture that prompts `image_embeds` `[copies, T, W]`, `image_latents` `[Q, I]` and `image_scale` `[1]`;
/// the network itself for all others. An input that is `copies` times as long as its values gets them repeated.
pub trait Network: Send + Sync {
    /// Facts about the network.
    fn facts(&self) -> NetworkFacts;

    /// The prediction `[copies, h, w, C]`, declaring each input it reads.
    fn predict<'g>(&self, m: &Scope<'g>, inputs: &DenoiserInputs<'g>) -> Tensor<'g>;

    /// Values of the inputs that only this network has, by name.
    fn values(&self, request: &RequestValues) -> Vec<(&'static str, Vec<f32>)>;

    /// The width of the token embeddings that the cross-attention reads, if there is any.
    fn text_width(&self, weights: &dyn WeightIndex) -> Option<usize>;

    /// The width of the pooled text embeddings that the network reads, if it does.
    fn pooled_width(&self, weights: &dyn WeightIndex) -> Option<usize>;

    /// Puts ControlNets beside the network, whose weights are below `controlnet`, `controlnet_1`, …,
    /// in place of earlier ones.
    ///
    /// # Errors
    /// `Unsupported` if the network has no place for one; `Weights` if one is for another network.
    fn set_controls(&mut self, controls: Vec<Outline>) -> Result<()> {
        if controls.is_empty() {
            return Ok(());
        }
        let message = "controlnet: expected a model with a UNet, which ControlNets steer";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// Takes a picture as a second prompt, whose projection is below `image_proj` and whose keys and
    /// values are beside those of the text, or takes it no more.
    ///
    /// # Errors
    /// `Unsupported` if the network has no place for one.
    fn set_image_prompt(&mut self, prompt: Option<ImagePrompt>) -> Result<()> {
        if prompt.is_none() {
            return Ok(());
        }
        let message = "ip-adapter: expected a model with a UNet, which IP-Adapters prompt";
        Err(Error::new(ErrorKind::Unsupported, message))
    }
}

/// The results of a text encoder.
pub struct TextStates<'g> {
    /// The hidden state `[B, T, D]`.
    pub hidden: Tensor<'g>,
    /// The last layer's state, normalised and projected, `[B, T, P]`. Pooled embeddings are its
    /// rows at [`TextNetwork::pooled_position`].
    pub projected: Option<Tensor<'g>>,
}

/// The network of a text encoder.
pub trait TextNetwork: Send + Sync {
    /// The number of tokens that it reads at once, padding included.
    fn tokens(&self) -> usize;

    /// Width of a token's embedding.
    fn width(&self) -> usize;

    /// Width of the pooled embeddings, if it makes them.
    fn pooled_width(&self) -> Option<usize>;

    /// The position in a row of ids at which the pooled embedding is taken.
    fn pooled_position(&self, ids: &[u32]) -> usize;

    /// The embeddings `[ids.len(), D]` that the graph reads, row-major: rows of the token table
    /// gathered on the host, with vectors `[D]` of new words in their place at some positions
    /// (textual inversion: Gal et al., arXiv 2208.01618).
    ///
    /// # Errors
    /// `Weights` if a table is missing or has fewer rows than the ids need, or a vector is of
    /// another width.
    fn embed(
        &self,
        weights: &Weights,
        ids: &[u32],
        vectors: &[(usize, &[f32])],
    ) -> Result<Vec<f32>>;

    /// The encoder from embeddings `[B, T, D]`, with `skip` more of the last layers left out than
    /// the model itself leaves out.
    fn states<'g>(&self, m: &Scope<'g>, embeddings: Tensor<'g>, skip: usize) -> TextStates<'g>;
}
