//! Decoding and encoding on a device, whole or tile by tile.

use super::network::Direction;
use super::state::Codec;
use crate::components::tiles::{Mosaic, Tiles};
use crate::error::{Error, ErrorKind, Result};
use crate::gpu::{Gpu, Program};
use crate::picture::{Picture, unit_to_byte};
use crate::shape::Storage;
use std::sync::Arc;

/// A result, and a note for the user about how it was made.
pub struct Coded<T> {
    /// The result.
    pub value: T,
    /// The note, if there is one.
    pub note: Option<String>,
}

impl Codec {
    /// The picture of latents `[h, w, L]`.
    pub async fn decode(
        &mut self,
        gpu: &Gpu,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Coded<Picture>> {
        let gpu = self.gpu(gpu)?;
        let tiles = self.tiles(gpu.target(), Direction::Decode, [height, width])?;
        let rgb = if tiles.is_whole() && self.network.makes_pixels() {
            let program = self.program(&gpu, Direction::Decode, tiles.size()).await?;
            program.write("latents", &self.network.unscale(latents))?;
            program.run();
            if gpu.target().storage != Storage::F32 {
                // A byte does not show what was no number.
                check_finite(&program.read("image").await?, gpu.target().storage)?;
            }
            let pixels = program.read_u32("pixels").await?;
            pixels.iter().flat_map(|rgba| rgba.to_le_bytes().into_iter().take(3)).collect()
        } else {
            let latents = self.network.unscale(latents);
            let image = self.run(&gpu, Direction::Decode, &tiles, &latents).await?;
            check_finite(&image, gpu.target().storage)?;
            self.network.to_unit_range(image).iter().map(|value| unit_to_byte(*value)).collect()
        };
        let side = self.pixels_per_latent();
        let value = Picture::new(width * side, height * side, rgb)?;
        Ok(Coded { value, note: self.note(Direction::Decode, &tiles) })
    }

    /// The decoded image of latents before rounding to bytes: `[H, W, 3]` in about [-1, 1].
    pub async fn decode_raw(
        &mut self,
        gpu: &Gpu,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Vec<f32>> {
        let gpu = self.gpu(gpu)?;
        let tiles = self.tiles(gpu.target(), Direction::Decode, [height, width])?;
        let latents = self.network.unscale(latents);
        let image = self.run(&gpu, Direction::Decode, &tiles, &latents).await?;
        Ok(self.network.to_unit_range(image))
    }

    /// Latents `[h, w, L]` of a picture `[H, W, 3]` in [-1, 1], scaled for the UNet: mean +
    /// deviation · `noise`. The size is the latents'.
    pub async fn encode(
        &mut self,
        gpu: &Gpu,
        pixels: &[f32],
        size: [usize; 2],
        noise: &[f32],
    ) -> Result<Coded<Vec<f32>>> {
        let gpu = self.gpu(gpu)?;
        let tiles = self.tiles(gpu.target(), Direction::Encode, size)?;
        let image = self.network.image_of(pixels);
        let moments = self.run(&gpu, Direction::Encode, &tiles, &image).await?;
        let value = self.network.sample(moments, noise);
        Ok(Coded { value, note: self.note(Direction::Encode, &tiles) })
    }

    /// One direction of the network on every tile: `[H, W, C]` to `[H, W, C]`.
    async fn run(
        &mut self,
        gpu: &Gpu,
        direction: Direction,
        tiles: &Tiles,
        values: &[f32],
    ) -> Result<Vec<f32>> {
        let program = self.program(gpu, direction, tiles.size()).await?;
        let (side, latents) = (self.pixels_per_latent(), self.channels());
        let [from, to] = match direction {
            Direction::Decode => [("latents", latents, 1), ("image", 3, side)],
            Direction::Encode => [("image", 3, side), ("moments", self.network.moments(), 1)],
        };
        let expected = tiles.rows.len * tiles.columns.len * from.1 * from.2 * from.2;
        if values.len() != expected {
            let message = format!("{}: expected {expected} values, got {}", from.0, values.len());
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let mut mosaic = Mosaic::new(tiles, to.1, to.2);
        for row in 0..tiles.rows.starts.len() {
            for column in 0..tiles.columns.starts.len() {
                program.write(from.0, &tiles.crop(values, from.1, from.2, [row, column]))?;
                program.run();
                mosaic.add([row, column], &program.read(to.0).await?);
            }
        }
        Ok(mosaic.finish())
    }

    /// The program for tiles of a size.
    async fn program(
        &mut self,
        gpu: &Gpu,
        direction: Direction,
        size: [usize; 2],
    ) -> Result<Arc<Program>> {
        let key = (direction, size);
        match self.component.program(&key) {
            Some(program) => Ok(program),
            None => {
                let plan = self.plan(gpu.target(), direction, size)?;
                self.component.retain(|(other, _)| *other != direction);
                let compiled = self.component.compile(gpu, key, plan, &[]).await;
                if matches!(&compiled, Err(error) if error.kind() == ErrorKind::Memory) {
                    self.refused = size.into_iter().max();
                }
                compiled
            }
        }
    }
}

/// Refuses an image of an autoencoder that overflowed.
fn check_finite(image: &[f32], storage: Storage) -> Result<()> {
    match image.iter().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => {
            let message =
                format!("the decoded image is not finite ({value}) with storage {storage}");
            Err(Error::new(ErrorKind::Numeric, message))
        }
    }
}
