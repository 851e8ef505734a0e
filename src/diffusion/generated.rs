//! The results of a run: its progress, its times and the picture.

use crate::picture::Picture;
use crate::schedulers::SchedulerKind;
use crate::shape::Storage;
use web_time::Duration;

/// The progress of a run after a step.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// The time that this step took.
    pub time: Duration,
    /// A preview of the picture, if the request asks for previews; `None` from [`Run::step`](super::Run::step), whose
    /// caller has [`Run::preview`](super::Run::preview).
    pub preview: Option<Picture>,
}

/// The time that the stages of a picture took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Reading the request (settings, tokens, plans) and encoding its texts; upload and compilation
    /// included when it is the first.
    pub text: Duration,
    /// Uploading and compiling the denoiser, and its computations once per prompt.
    pub prepare: Duration,
    /// All sampling steps.
    pub denoise: Duration,
    /// Decoding the latents.
    pub decode: Duration,
    /// Enlarging the picture of the first of two passes.
    pub upscale: Duration,
}

impl Timings {
    /// Adds those of an earlier pass.
    pub(super) fn add(&mut self, other: &Timings) {
        self.text += other.text;
        self.prepare += other.prepare;
        self.denoise += other.denoise;
        self.decode += other.decode;
        self.upscale += other.upscale;
    }
}

/// A finished picture.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The picture.
    pub picture: Picture,
    /// Width and height of the first pass, where there was a second.
    pub first_size: Option<[usize; 2]>,
    /// Its latents `[C, h, w]`, scaled for the UNet, as diffusers returns them.
    pub latents: Vec<f32>,
    /// The seed.
    pub seed: u64,
    /// The sampler.
    pub scheduler: SchedulerKind,
    /// The number of steps that was asked for.
    pub steps: usize,
    /// The guidance scale.
    pub guidance_scale: f32,
    /// The storage type of activations and weights.
    pub storage: Storage,
    /// The time that its stages took.
    pub timings: Timings,
    /// The most GPU memory at once, by the plans: weights and buffers of what was loaded.
    pub peak_bytes: u64,
    /// Notes for the user, such as on a prompt that is longer than the context.
    pub notes: Vec<String>,
}
