//! The autoencoder around the latents: pictures out of them, and into them.

use super::component::Component;
use super::files::ModelFiles;
use crate::error::{ErrorKind, Result};
use crate::gpu::{Gpu, Program};
use crate::graph::passes::fuse;
use crate::graph::{Builder, Graph, Plan, Scope};
use crate::kernels::model_input::ModelInput;
use crate::kernels::pixels::Pixels;
use crate::models::autoencoder::{AutoencoderConfig, decode, encode};
use crate::models::parse_config;
use crate::picture::Picture;
use crate::shape::TensorType;
use std::sync::Arc;

/// The autoencoder of a model.
pub(super) struct Codec {
    config: AutoencoderConfig,
    component: Component<(Direction, usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Decode,
    Encode,
}

impl Codec {
    pub(super) fn open(files: &ModelFiles) -> Result<Codec> {
        let file = "vae/config.json";
        let config: AutoencoderConfig = parse_config(file, &files.text(file)?)?;
        config.check()?;
        Ok(Codec { config, component: Component::new(files.weights("vae")?) })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.component.bytes()
    }

    pub(super) fn unload(&mut self) {
        self.component.unload();
    }

    /// Channels of the latents.
    pub(super) fn channels(&self) -> usize {
        self.config.latent_channels
    }

    /// Pixels along one side of a latent.
    pub(super) fn pixels_per_latent(&self) -> usize {
        self.config.pixels_per_latent()
    }

    /// The decoder's graph from f32 `latents` `[1, h, w, L]` to `image` `[1, H, W, 3]` in about
    /// [-1, 1] and its `pixels`, or the encoder's from `image` to `moments` `[1, h, w, 2·L]`.
    /// Height and width are the latents'.
    pub(super) fn graph(&self, direction: Direction, height: usize, width: usize) -> Result<Graph> {
        let builder = Builder::new();
        let m = Scope::new(&builder, "vae", &self.component.weights);
        match direction {
            Direction::Decode => {
                let shape = TensorType::f32([1, height, width, self.config.latent_channels]);
                let latents = builder.input("latents", shape);
                let unscale = ModelInput { copies: 1, scale: 1.0 / self.config.scaling_factor };
                let latents = builder.apply(unscale, &[Some(latents), None]);
                let image = decode(&m, &self.config, latents);
                builder.output("image", image);
                m.mark();
                builder.output("pixels", builder.apply(Pixels {}, &[Some(image)]));
            }
            Direction::Encode => {
                let pixels = self.pixels_per_latent();
                let shape = TensorType::real([1, height * pixels, width * pixels, 3]);
                let image = builder.input("image", shape);
                let moments = encode(&m, &self.config, image);
                let (got, expected) = (moments.channels(), 2 * self.config.latent_channels);
                if got != expected {
                    let message = format!("moments: expected {expected} channels, got {got}");
                    m.fail(ErrorKind::Weights, message);
                }
                builder.output("moments", moments);
            }
        }
        Ok(fuse(builder.finish()?))
    }

    /// Checks that pictures of this size can be decoded, before work is put into their latents.
    ///
    /// # Errors
    /// `Weights` or `Memory`, as decoding would meet them.
    pub(super) fn check(&self, gpu: &Gpu, height: usize, width: usize) -> Result<()> {
        if self.component.program(&(Direction::Decode, height, width)).is_some() {
            return Ok(());
        }
        let graph = self.graph(Direction::Decode, height, width)?;
        Plan::new(&graph, gpu.target()).map(|_| ())
    }

    async fn program(
        &mut self,
        gpu: &Gpu,
        direction: Direction,
        height: usize,
        width: usize,
    ) -> Result<Arc<Program>> {
        let key = (direction, height, width);
        match self.component.program(&key) {
            Some(program) => Ok(program),
            None => {
                let graph = self.graph(direction, height, width)?;
                self.component.compile(gpu, key, &graph, &[]).await
            }
        }
    }

    /// The picture of latents `[h, w, L]`.
    pub(super) async fn decode(
        &mut self,
        gpu: &Gpu,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Picture> {
        let program = self.program(gpu, Direction::Decode, height, width).await?;
        program.write("latents", latents)?;
        program.run();
        let pixels = program.read_u32("pixels").await?;
        let rgb = pixels.iter().flat_map(|rgba| rgba.to_le_bytes().into_iter().take(3)).collect();
        let side = self.pixels_per_latent();
        Picture::new(width * side, height * side, rgb)
    }

    /// The decoded image of latents before rounding to bytes: `[H, W, 3]` in about [-1, 1].
    pub(super) async fn decode_raw(
        &mut self,
        gpu: &Gpu,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Vec<f32>> {
        let program = self.program(gpu, Direction::Decode, height, width).await?;
        program.write("latents", latents)?;
        program.run();
        program.read("image").await
    }

    /// Latents `[h, w, L]` of a picture `[H, W, 3]` in [-1, 1], scaled for the UNet: mean +
    /// deviation · `noise`. Height and width are the latents'.
    pub(super) async fn encode(
        &mut self,
        gpu: &Gpu,
        pixels: &[f32],
        [height, width]: [usize; 2],
        noise: &[f32],
    ) -> Result<Vec<f32>> {
        let program = self.program(gpu, Direction::Encode, height, width).await?;
        program.write("image", pixels)?;
        program.run();
        let moments = program.read("moments").await?;
        let channels = self.config.latent_channels;
        let sampled = moments
            .chunks_exact(2 * channels)
            .zip(noise.chunks_exact(channels))
            .flat_map(|(moments, noise)| {
                let (mean, log_variance) = moments.split_at(channels);
                let deviations = log_variance.iter().map(|v| (0.5 * v.clamp(-30.0, 20.0)).exp());
                let values = mean.iter().zip(deviations).zip(noise).map(|((m, d), z)| m + d * z);
                values.map(|value| value * self.config.scaling_factor).collect::<Vec<_>>()
            });
        Ok(sampled.collect())
    }
}
