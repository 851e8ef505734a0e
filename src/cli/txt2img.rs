//! `croquis txt2img`: generates pictures from a prompt and writes them.

use super::additions::AdditionOptions;
use super::control::ControlOptions;
use super::draw::{self, Models};
use super::hires::HiresOptions;
use super::ip_adapter::IpAdapterOptions;
use super::model_hash::ModelHash;
use super::options::{
    FramingOptions, GpuOptions, GridOptions, ModelOptions, NoiseOptions, PictureOptions,
    PromptOptions, SamplingOptions,
};
use super::output::OutputOptions;
use super::refiner::RefinerOptions;
use super::sources::SourceOptions;
use super::template::is_stdout;
use super::terminal::{print, print_json};
use super::wording::Wording;
use croquis::Result;
use croquis::diffusion::{Diffusion, Model, Preview, Request};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The arguments of `croquis txt2img`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The prompt: what the picture should show; `-` reads it from standard input
    #[arg(required_unless_present = "from")]
    pub prompt: Option<String>,
    /// A picture whose settings are taken, by croquis, AUTOMATIC1111's web UI or sd.cpp; other options
    /// override them
    #[arg(long, value_name = "FILE", help_heading = "Prompt")]
    from: Option<PathBuf>,
    #[command(flatten)]
    pub prompts: PromptOptions,
    #[command(flatten)]
    pub picture: PictureOptions,
    #[command(flatten)]
    pub framing: FramingOptions,
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
    pub ip_adapter: IpAdapterOptions,
    #[command(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    pub additions: AdditionOptions,
    #[command(flatten)]
    pub refiner: RefinerOptions,
    #[command(flatten)]
    pub output: OutputOptions,
    #[command(flatten)]
    pub grid: GridOptions,
    #[command(flatten)]
    pub gpu: GpuOptions,
}

const EXAMPLES: &str = "\
Examples:
  croquis txt2img \"a blue heart\" -o heart.png -s 42
  croquis txt2img \"a red heart\" --image heart.png --strength 0.6 -o red.png
  croquis txt2img --from heart.png -s 43 -o another.png
  croquis txt2img \"a lighthouse\" -n fog -m stable-diffusion-v1-5 -W 512 -H 768 --steps 20
  croquis txt2img \"a lighthouse\" -m sdxl.safetensors --lora style.safetensors:0.8 -b 4
  croquis txt2img \"a blue heart\" -s 42 --grid \"steps=5,10,20;guidance=2,5\" -o sheet.png";

impl Arguments {
    /// What the prompt says.
    pub fn wording(&self) -> Result<Wording> {
        let prompt = self.prompt.as_deref().unwrap_or_default();
        Wording::read(prompt, self.prompts.plain_prompts, &self.additions.lora_folders())
    }

    /// Opens the model with all that is added to it. Nothing is on a device yet.
    pub fn open(&self, wording: &Wording) -> Result<Model> {
        let mut model = self.model.open(self.gpu.storage)?;
        self.additions.apply(&mut model, &wording.loras)?;
        self.control.load(&mut model)?;
        self.ip_adapter.load(&mut model)?;
        Ok(model)
    }

    /// The request for a model, checked; its seed is 0.
    pub fn request(&self, model: &Model, wording: &Wording) -> Result<Request> {
        let mut request = Request::new(&wording.prompt);
        self.prompts.apply(&mut request);
        self.picture.apply(&mut request);
        self.framing.apply(&mut request);
        self.sampling.apply(&mut request);
        self.hires.apply(&mut request);
        self.sources.apply(&mut request)?;
        self.control.apply(&mut request)?;
        self.ip_adapter.apply(&mut request)?;
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
        let mut hash = ModelHash::of(first.model().denoiser_file());
        if self.output.model_hash() {
            hash.start();
        }
        Ok(Models { first, refiner, hash })
    }
}

/// Generates the pictures and writes them.
pub fn run(arguments: &Arguments) -> Result<()> {
    let started = Instant::now();
    let seeds = arguments.noise.seeds()?;
    let files = arguments.output.files(&seeds)?;
    let wording = arguments.wording()?;
    let model = arguments.open(&wording)?;
    // Impossible requests fail before a device is opened.
    let request = arguments.request(&model, &wording)?;
    let mut models = arguments.load(model)?;
    let open = started.elapsed();
    let OutputOptions { json, .. } = arguments.output;
    let files = files.into_iter().zip(seeds);
    let loras = arguments.additions.noted_loras(&wording.loras);
    let written = |file: &Path| match json || is_stdout(file) {
        true => Ok(()),
        false => print(file.display()),
    };
    let drawn = draw::series(&mut models, request, files, &arguments.output, &loras, written)?;
    match json {
        true => print_json(&draw::report(&models.first, &drawn, [open, started.elapsed()])),
        false => Ok(()),
    }
}
