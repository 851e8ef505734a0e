//! [`ImageEncoder`]: CLIP's image encoder with its weights, plans and programs on a device.

use super::preprocess::normalised;
use crate::components::component::Component;
use crate::error::{Error, ErrorKind, Result};
use crate::files::ModelFiles;
use crate::gpu::Gpu;
use crate::graph::passes::fuse;
use crate::graph::{Builder, Graph, Plan, Scope};
use crate::kernels::Target;
use crate::models::clip_vision::{ClipVisionConfig, VisionInputs, VisionOutput, image_encoder};
use crate::models::parse_config;
use crate::picture::Picture;
use crate::shape::TensorType;
use serde::Deserialize;
use std::sync::Arc;

const CLASS: &str = "embeddings.class_embedding";
const POSITIONS: &str = "embeddings.position_embedding.weight";
/// The largest width of a token that is accepted.
const MAX_WIDTH: usize = 65_536;
const ARCHITECTURE: &str = "CLIPVisionModelWithProjection";

/// An image encoder, and which of its results is wanted.
pub struct ImageEncoder {
    config: ClipVisionConfig,
    output: VisionOutput,
    /// Width of a hidden state.
    width: usize,
    /// Width of a picture's embedding.
    projected_width: usize,
    /// Plans and programs by the number of pictures in a batch.
    component: Component<usize>,
}

/// The class of a model in transformers' `config.json`.
#[derive(Deserialize)]
struct Architectures {
    #[serde(default)]
    architectures: Vec<String>,
}

impl ImageEncoder {
    /// Reads a folder of transformers (`config.json` and the weights beside it, or the same in a
    /// folder `image_encoder`).
    ///
    /// # Errors
    /// `NotFound`, `Format`, `Config`, `Unsupported` or `Weights`, naming file and key.
    pub fn open(files: &ModelFiles) -> Result<ImageEncoder> {
        let (component, file) = match files.read("config.json")? {
            Some(_) => ("", "config.json"),
            None => ("image_encoder", "image_encoder/config.json"),
        };
        let text = files.text(file)?;
        let class: Architectures = parse_config(file, &text)?;
        if class.architectures != [ARCHITECTURE] {
            let (name, got) = (files.name(), class.architectures);
            let message =
                format!("{name}: {file}: architectures: expected [{ARCHITECTURE:?}], got {got:?}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let config: ClipVisionConfig = parse_config(file, &text)?;
        config.check(file)?;
        let weights = files.weights(component)?.without_prefix("vision_model.")?;
        let misfit = |name: &str, expected: String, got: &[usize]| {
            let message = format!("{}: {name}: expected {expected}, got {got:?}", files.name());
            Err(Error::new(ErrorKind::Weights, message))
        };
        let shape = |name: &str| weights.shape(name).unwrap_or_default();
        let &[width @ 1..=MAX_WIDTH] = shape(CLASS) else {
            return misfit(CLASS, "[D]".into(), shape(CLASS));
        };
        if shape(POSITIONS) != [config.tokens(), width] {
            let expected = format!("[{}, {width}]", config.tokens());
            return misfit(POSITIONS, expected, shape(POSITIONS));
        }
        let projection = "visual_projection.weight";
        let &[projected_width @ 1..=MAX_WIDTH, _] = shape(projection) else {
            return misfit(projection, "[P, D]".into(), shape(projection));
        };
        let (output, component) = (VisionOutput::Projected, Component::new(weights));
        Ok(ImageEncoder { config, output, width, projected_width, component })
    }

    /// This encoder with another of its results.
    pub(super) fn with_output(self, output: VisionOutput) -> ImageEncoder {
        ImageEncoder { output, ..self }
    }

    /// Tokens of a picture and their width, `[T, W]`.
    pub fn shape(&self) -> [usize; 2] {
        match self.output {
            VisionOutput::Projected => [1, self.projected_width],
            VisionOutput::Hidden => [self.config.tokens(), self.width],
        }
    }

    /// Bytes of GPU memory that the encoder holds.
    pub fn bytes(&self) -> u64 {
        self.component.bytes()
    }

    /// Drops weights and programs from the GPU.
    pub fn unload(&mut self) {
        self.component.unload();
    }

    /// The number of pictures in a batch for so many evaluations of the network that is prompted:
    /// where the unconditional one gets the encoding of a zero image, that is encoded too.
    fn batch(&self, copies: usize) -> usize {
        match self.output {
            VisionOutput::Projected => 1,
            VisionOutput::Hidden => copies,
        }
    }

    /// Drops the programs for another number of evaluations.
    pub fn retain(&mut self, copies: usize) {
        let batch = self.batch(copies);
        self.component.retain(|known| *known == batch);
    }

    /// The plan for so many evaluations of the network that is prompted; it is kept.
    ///
    /// # Errors
    /// `Weights` or `Shape` if weights and configuration do not fit; `Memory` if the target's limits
    /// do not allow it.
    pub fn plan(&self, copies: usize, target: &Target) -> Result<Arc<Plan>> {
        let batch = self.batch(copies);
        self.component.plan(&batch, target, || self.graph(batch))
    }

    /// The encodings of a picture for every evaluation, `[copies, T, W]`: with two evaluations the
    /// unconditional first, which is zeros for [`VisionOutput::Projected`] and the encoding of a zero
    /// image for [`VisionOutput::Hidden`], as in diffusers.
    ///
    /// # Errors
    /// `Memory`, `Weights` or `Device` if the encoder does not run on the device.
    pub async fn encode(
        &mut self,
        gpu: &Gpu,
        picture: &Picture,
        copies: usize,
    ) -> Result<Vec<f32>> {
        let batch = self.batch(copies);
        let program = match self.component.program(&batch) {
            Some(program) => program,
            None => {
                let plan = self.plan(copies, gpu.target())?;
                self.component.compile(gpu, batch, plan, &[]).await?
            }
        };
        let pixels = normalised(picture, self.config.image_size);
        let mut pictures = vec![0.0; pixels.len() * (batch - 1)];
        pictures.extend(pixels);
        program.write("pixels", &pictures)?;
        program.write("class", &self.component.weights.read_f32(CLASS)?.repeat(batch))?;
        program.write("positions", &self.component.weights.read_f32(POSITIONS)?)?;
        program.run();
        let mut states = program.read("states").await?;
        if self.output == VisionOutput::Hidden {
            return Ok(states);
        }
        states.truncate(self.projected_width); // the token of the class is the first
        let mut all = vec![0.0; self.projected_width * (copies - 1)];
        all.extend(states);
        Ok(all)
    }

    fn graph(&self, batch: usize) -> Result<Graph> {
        let builder = Builder::new();
        let m = Scope::new(&builder, "image_encoder", &self.component.weights);
        let side = self.config.image_size;
        let inputs = VisionInputs {
            pixels: builder.input("pixels", TensorType::real([batch, side, side, 3])),
            class: builder.input("class", TensorType::real([batch, self.width])),
            positions: builder
                .input("positions", TensorType::real([1, self.config.tokens() * self.width])),
        };
        builder.output("states", image_encoder(&m, &self.config, inputs, self.output));
        Ok(fuse(builder.finish()?))
    }
}
