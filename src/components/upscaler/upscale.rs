//! Pictures through the network, tile by tile.

use super::Upscaler;
use super::padding::{cropped, padded};
use crate::components::tiles::Mosaic;
use crate::error::{Error, ErrorKind, Result};
use crate::gpu::Program;
use crate::picture::{MAX_SIDE, Picture};
use crate::shape::Storage;
use std::ops::ControlFlow;
use std::sync::Arc;
use web_time::{Duration, Instant};

/// The progress of a picture after a tile.
#[derive(Clone, Copy, Debug)]
pub struct TileProgress {
    /// Tiles done.
    pub tile: usize,
    /// Tiles in all.
    pub tiles: usize,
    /// The time that this tile took.
    pub time: Duration,
}

impl Upscaler {
    /// Enlarges a picture by the network's [factor](Upscaler::scale).
    ///
    /// Where the result of 16-bit storage is not finite, the picture is made again with f32, and the
    /// upscaler then stays at f32.
    ///
    /// # Errors
    /// `Argument` if the result's sides exceed [`MAX_SIDE`] pixels; `Memory` if not even small tiles fit;
    /// `Weights` if weights are not finite; `Numeric` if the result is not; `Device` from the GPU.
    pub async fn upscale(&mut self, picture: &Picture) -> Result<Picture> {
        self.upscale_with(picture, |_| ControlFlow::Continue(())).await
    }

    /// [`upscale`](Upscaler::upscale) that tells `progress` of every tile; breaking stops the work.
    ///
    /// # Errors
    /// As [`upscale`](Upscaler::upscale); `Cancelled` if `progress` breaks.
    pub async fn upscale_with(
        &mut self,
        picture: &Picture,
        mut progress: impl FnMut(&TileProgress) -> ControlFlow<()>,
    ) -> Result<Picture> {
        loop {
            let error = match self.attempt(picture, &mut progress).await {
                Err(error) => error,
                upscaled => return upscaled,
            };
            let storage = self.gpu.target().storage;
            match error.kind() {
                ErrorKind::Memory if self.gpu.take_out_of_memory() && self.shrink() => {
                    log::warn!("{error}; smaller tiles");
                }
                ErrorKind::Numeric if storage != Storage::F32 => {
                    log::warn!("{error}; trying again with storage f32");
                    self.gpu = self.gpu.with_storage(Storage::F32)?;
                    self.chosen = None;
                }
                _ => return Err(error),
            }
            self.unload();
            self.gpu.finished().await?;
        }
    }

    /// [`upscale`](Upscaler::upscale), blocking this thread.
    ///
    /// # Errors
    /// As [`upscale`](Upscaler::upscale).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn upscale_blocking(&mut self, picture: &Picture) -> Result<Picture> {
        let gpu = self.gpu.clone();
        gpu.block_on(self.upscale(picture))
    }

    /// [`upscale_with`](Upscaler::upscale_with), blocking this thread.
    ///
    /// # Errors
    /// As [`upscale_with`](Upscaler::upscale_with).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn upscale_with_blocking(
        &mut self,
        picture: &Picture,
        progress: impl FnMut(&TileProgress) -> ControlFlow<()>,
    ) -> Result<Picture> {
        let gpu = self.gpu.clone();
        gpu.block_on(self.upscale_with(picture, progress))
    }

    async fn attempt(
        &mut self,
        picture: &Picture,
        progress: &mut impl FnMut(&TileProgress) -> ControlFlow<()>,
    ) -> Result<Picture> {
        let (scale, cell) = (self.scale(), self.network.cell());
        let [width, height] = self.result_size(picture)?;
        let (values, [padded_height, padded_width]) = padded(picture, cell);
        let tiles = self.tiles([padded_height / cell, padded_width / cell])?;
        let program = self.program(tiles.size()).await?;
        let mut mosaic = Mosaic::new(&tiles, 3, scale * cell);
        let mut done = 0;
        for row in 0..tiles.rows.starts.len() {
            for column in 0..tiles.columns.starts.len() {
                let started = Instant::now();
                program.write("image", &tiles.crop(&values, 3, cell, [row, column]))?;
                program.run();
                let upscaled = program.read("upscaled").await?;
                self.check_finite(&upscaled)?;
                mosaic.add([row, column], &upscaled);
                done += 1;
                let time = started.elapsed();
                let now = TileProgress { tile: done, tiles: tiles.count(), time };
                if progress(&now).is_break() {
                    let message = format!("stopped after tile {done} of {}", now.tiles);
                    return Err(Error::new(ErrorKind::Cancelled, message));
                }
            }
        }
        Picture::new(width, height, cropped(&mosaic.finish(), scale * padded_width, width, height))
    }

    /// Width and height of a picture's result.
    fn result_size(&self, picture: &Picture) -> Result<[usize; 2]> {
        let sides = [picture.width(), picture.height()];
        let sizes = sides.map(|side| side.saturating_mul(self.scale()));
        if sizes.iter().any(|side| *side > MAX_SIDE) {
            let message = format!(
                "upscaled to {}x{} pixels: expected sides of at most {MAX_SIDE}; choose a smaller \
                 picture or factor",
                sizes[0], sizes[1]
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(sizes)
    }

    /// The program for tiles of a size.
    async fn program(&mut self, size: [usize; 2]) -> Result<Arc<Program>> {
        if let Some(program) = self.component.program(&size) {
            return Ok(program);
        }
        let plan = self.plan(self.gpu.target(), size)?;
        // Only one is in memory at a time.
        self.component.retain(|_| false);
        self.component.compile(&self.gpu, size, plan, &[]).await
    }

    /// Refuses a result that overflowed.
    fn check_finite(&self, image: &[f32]) -> Result<()> {
        let Some(value) = image.iter().find(|value| !value.is_finite()) else { return Ok(()) };
        let storage = self.gpu.target().storage;
        let message =
            format!("the upscaled picture is not finite ({value}) with storage {storage}");
        Err(Error::new(ErrorKind::Numeric, message))
    }
}
