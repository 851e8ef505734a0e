//! `croquis txt2img`: generates pictures from a prompt and writes them.

use super::additions::AdditionOptions;
use super::control::ControlOptions;
use super::draw::{self, Models};
use super::hires::HiresOptions;
use super::options::{
    GpuOptions, ModelOptions, NoiseOptions, PictureOptions, PromptOptions, SamplingOptions,
};
use super::output::OutputOptions;
use super::refiner::RefinerOptions;
use super::sources::SourceOptions;
use super::template::is_stdout;
use super::terminal::{print, print_json};
use croquis::Result;
use croquis::diffusion::{Diffusion, Model, Preview, Request};
use std::path::Path;
use std::time::Instant;

/// The arguments of `croquis txt2img`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The prompt: what the picture should show
    #[arg(required = true)]
    pub prompt: Option<String>,
    #[command(flatten)]
    pub prompts: PromptOptions,
    #[command(flatten)]
    pub picture: PictureOptions,
    #[command(flatten)]
    pub sampling: SamplingOptions,
    #[command(flatten)]
    pub noise: NoiseOptions,
    #[command(flatten)]
    pub hires: HiresOptions,
    #[command(flatten)]
    pub sources: SourceOptions,
    #[command(flatten)]
    pub control: ControlOptions,
    #[command(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    pub additions: AdditionOptions,
    #[command(flatten)]
    pub refiner: RefinerOptions,
    #[command(flatten)]
    pub output: OutputOptions,
    #[command(flatten)]
    pub gpu: GpuOptions,
}

const EXAMPLES: &str = "\
Examples:
  croquis txt2img \"a blue heart\" -o heart.png -s 42
  croquis txt2img \"a red heart\" --image heart.png --strength 0.6 -o red.png
  croquis txt2img \"a lighthouse\" -n fog -m stable-diffusion-v1-5 -W 512 -H 768 --steps 20
  croquis txt2img \"a lighthouse\" -m sdxl.safetensors --lora style.safetensors:0.8 -b 4";

impl Arguments {
    /// Opens the model with all that is added to it. Nothing is on a device yet.
    pub fn open(&self) -> Result<Model> {
        let mut model = self.model.open(self.gpu.storage)?;
        self.additions.apply(&mut model)?;
        self.control.load(&mut model)?;
        Ok(model)
    }

    /// The request for a model, checked; its seed is 0.
    pub fn request(&self, model: &Model) -> Result<Request> {
        let mut request = Request::new(self.prompt.as_deref().unwrap_or_default());
        self.prompts.apply(&mut request);
        self.picture.apply(&mut request);
        self.sampling.apply(&mut request);
        self.hires.apply(&mut request);
        self.sources.apply(&mut request)?;
        self.control.apply(&mut request)?;
        self.picture.resize(model, &mut request)?;
        self.noise.apply(model, &mut request)?;
        let decoded =
            if self.additions.decodes_previews() { Preview::Decoded } else { Preview::Colours };
        request.preview = self.output.preview().map(|_| decoded);
        model.check(&request)?;
        Ok(request)
    }

    /// Opens the device and puts the model on it, and the refiner if there is one.
    pub fn load(&self, model: Model) -> Result<Models> {
        let refiner = self.refiner.open(&self.model, &self.gpu)?;
        let gpu = self.gpu.open()?;
        let mut first = Diffusion::new(&gpu, model);
        first.set_upscaler(self.hires.open(&gpu)?);
        if let Some(bytes) = self.gpu.memory {
            first.set_memory_budget(Some(bytes));
        }
        let refiner = refiner.map(|model| self.refiner.load(model, first.gpu(), &self.gpu));
        Ok(Models { first, refiner })
    }
}

/// Generates the pictures and writes them.
pub fn run(arguments: &Arguments) -> Result<()> {
    let started = Instant::now();
    let seeds = arguments.noise.seeds()?;
    let files = arguments.output.files(&seeds)?;
    let model = arguments.open()?;
    // Impossible requests fail before a device is opened.
    let request = arguments.request(&model)?;
    let mut models = arguments.load(model)?;
    let open = started.elapsed();
    let OutputOptions { json, .. } = arguments.output;
    let files = files.into_iter().zip(seeds);
    let (output, additions) = (&arguments.output, &arguments.additions);
    let written = |file: &Path| match json || is_stdout(file) {
        true => Ok(()),
        false => print(file.display()),
    };
    let drawn = draw::series(&mut models, request, files, output, additions, written)?;
    match json {
        true => print_json(&draw::report(&models.first, &drawn, [open, started.elapsed()])),
        false => Ok(()),
    }
}
