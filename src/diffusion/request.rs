//! Requests for pictures.

use super::hires::Hires;
use super::mask::Mask;
use crate::components::{Control, PicturePrompt};
use crate::picture::Picture;
use crate::random::RandomKind;
use crate::schedulers::{SchedulerKind, Spacing};

/// A picture to generate. `None` leaves a choice to the model's [`Defaults`](super::Defaults).
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The prompt: a description of the picture. `[a:b:0.5]` and `[a|b]` change it over the steps, `AND`
    /// joins several.
    pub prompt: String,
    /// The prompt for the second text encoder of models that have two (SDXL); `None` is the same.
    pub prompt_2: Option<String>,
    /// The negative prompt: a description of what the picture should not show; matters only with
    /// guidance. Where it is empty, models that were trained so (SDXL) get zeros in its place.
    pub negative_prompt: String,
    /// The negative prompt for the second text encoder of models that have two (SDXL); `None` is the
    /// same. An empty negative prompt gets no zeros where this one is not empty.
    pub negative_prompt_2: Option<String>,
    /// The layer of the text encoder that counts as its last, as other tools count: 1 is the
    /// model's own choice, 2 the layer before, and so on (diffusers' `clip_skip` plus one).
    pub clip_skip: Option<usize>,
    /// Whether all of the prompts is plain text. Otherwise `(word:1.2)` weights a word, and so on.
    pub plain_prompts: bool,
    /// The number of tokens among which a full chunk of a long prompt looks for a comma; the words
    /// after it move to the next chunk. `None` is 20, as in AUTOMATIC1111's web UI; 0 fills chunks to
    /// the last token.
    pub comma_backtrack: Option<usize>,
    /// Sampling steps.
    pub steps: Option<usize>,
    /// Classifier-free guidance (Ho & Salimans, arXiv 2207.12598): 1 and less is none, and one
    /// network evaluation a step instead of two.
    pub guidance_scale: Option<f32>,
    /// The seed of all noise; the same seed gives the same noise as PyTorch on a CPU.
    pub seed: u64,
    /// Width in pixels; beside a picture to start from or a control picture, that of the picture.
    pub width: Option<usize>,
    /// Height in pixels; beside a picture to start from or a control picture, that of the picture.
    pub height: Option<usize>,
    /// The sampler.
    pub scheduler: Option<SchedulerKind>,
    /// The spacing of its steps over the noise levels.
    pub spacing: Option<Spacing>,
    /// The random part of the sampler: η of DDIM from 0 (none, the default) to 1 (as much as DDPM;
    /// arXiv 2010.02502, equation 16), or γ of TCD (arXiv 2402.19159), 0.3 by default. Other samplers
    /// have none, and with it the request is refused.
    pub eta: Option<f32>,
    /// The share of the guided output, from 0 to 1, whose standard deviation becomes that of the
    /// conditional output (Lin et al., arXiv 2305.08891, section 3.4); 0 is none. It matters only with
    /// guidance.
    pub guidance_rescale: f32,
    /// The random number generator of the noise, by the program that it imitates.
    pub random: RandomKind,
    /// SDXL's micro-conditioning by picture sizes.
    pub framing: Framing,
    /// The same for the negative prompt; `None` is the same as `framing`.
    pub negative_framing: Option<Framing>,
    /// The initial noise `[C, H/f, W/f]` in place of the seed's, with unit variance; with
    /// [`denoising_start`](Request::denoising_start) the noisy latents themselves.
    pub latents: Option<Vec<f32>>,
    /// The share of the noise levels, from 0 to 1, at which to start instead of at pure noise, with
    /// the noisy [`latents`](Request::latents) of a run that ended there, or with a picture's latents
    /// without further noise. A picture's strength has no effect then.
    pub denoising_start: Option<f32>,
    /// The share of the noise levels, from 0 to 1, at which to end, with latents that are noisy still
    /// and that another model may go on with.
    pub denoising_end: Option<f32>,
    /// A picture to start from.
    pub image: Option<ImageToImage>,
    /// A second pass at a larger size, over what the first one drew.
    pub hires: Option<Hires>,
    /// The pictures that steer the ControlNets, one for each in their order; none leaves the
    /// ControlNets out.
    pub controls: Vec<Control>,
    /// The picture that prompts beside the text, by an IP-Adapter.
    pub image_prompt: Option<PicturePrompt>,
    /// The kind of preview that [`Progress`](super::Progress) brings with every step; `None` is no
    /// preview.
    pub preview: Option<Preview>,
}

/// The way a preview is made of the latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preview {
    /// A colour for every latent: next to nothing to compute, an eighth of the size.
    Colours,
    /// Decoded, by the preview decoder if one is set, else by the model's own.
    Decoded,
}

/// SDXL's micro-conditioning (Podell et al., arXiv 2307.01952, section 2.2): heights before widths,
/// in pixels. It describes the pictures that the model shall imitate, and changes no size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framing {
    /// The size before scaling and cropping; `None` is the request's size.
    pub original_size: Option<[usize; 2]>,
    /// Top and left of the crop.
    pub crop: [usize; 2],
    /// The size after cropping; `None` is the request's size.
    pub target_size: Option<[usize; 2]>,
}

/// A picture to start from (Meng et al., SDEdit, arXiv 2108.01073).
#[derive(Clone, Debug)]
pub struct ImageToImage {
    /// The picture; its size is the result's.
    pub picture: Picture,
    /// The fraction of it that may change: 0 keeps it, 1 ignores it.
    pub strength: f32,
    /// The part that may change (inpainting); without a mask, all of it.
    pub mask: Option<Mask>,
}

impl Request {
    /// A request for a prompt with the model's defaults and seed 0.
    pub fn new(prompt: impl Into<String>) -> Self {
        Request { prompt: prompt.into(), ..Request::default() }
    }

    /// Sets the seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the number of steps.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }

    /// Sets the guidance scale.
    pub fn guidance_scale(mut self, scale: f32) -> Self {
        self.guidance_scale = Some(scale);
        self
    }

    /// Sets width and height in pixels.
    pub fn size(mut self, width: usize, height: usize) -> Self {
        (self.width, self.height) = (Some(width), Some(height));
        self
    }

    /// Sets the sampler.
    pub fn scheduler(mut self, kind: SchedulerKind) -> Self {
        self.scheduler = Some(kind);
        self
    }

    /// Starts from a picture.
    pub fn image(mut self, picture: Picture, strength: f32) -> Self {
        self.image = Some(ImageToImage { picture, strength, mask: None });
        self
    }

    /// Paints a part of a picture anew. A `strength` of 1 ignores what was there.
    pub fn inpaint(mut self, picture: Picture, mask: Mask, strength: f32) -> Self {
        self.image = Some(ImageToImage { picture, strength, mask: Some(mask) });
        self
    }

    /// Prompts by a picture too, which takes an IP-Adapter.
    pub fn image_prompt(mut self, picture: Picture, scale: f32) -> Self {
        self.image_prompt = Some(PicturePrompt { picture, scale });
        self
    }

    /// Adds a second pass at a size larger by a factor, with a denoising strength.
    pub fn hires(mut self, scale: f32, strength: f32) -> Self {
        self.hires = Some(Hires::new(scale, strength));
        self
    }

    /// Adds the picture of the next ControlNet.
    pub fn control(mut self, control: Control) -> Self {
        self.controls.push(control);
        self
    }
}
