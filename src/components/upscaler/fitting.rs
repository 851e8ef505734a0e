//! The choice of an upscaler's tiles: as few as fit the device and the budget.

use super::Upscaler;
use crate::components::tiles::{Seam, Tiles, Tiling};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::passes::fuse;
use crate::graph::{Builder, Graph, Plan, Scope};
use crate::kernels::Target;
use crate::memory::Stage;
use crate::shape::TensorType;
use std::sync::Arc;

/// The longest side of a tile that is chosen here, in pixels: larger ones save next to nothing, and
/// progress is told by the tile.
const LONGEST: usize = 512;

/// The shortest side of a tile that is chosen here, in pixels.
const SHORTEST: usize = 32;

impl Upscaler {
    /// The graph from `image` `[1, H, W, 3]` in [0, 1] to `upscaled` `[1, s·H, s·W, 3]`, for a size in
    /// cells.
    pub(super) fn graph(&self, size: [usize; 2]) -> Result<Graph> {
        let builder = Builder::new();
        let m = Scope::new(&builder, "upscaler", &self.component.weights);
        let [height, width] = size.map(|cells| cells * self.network.cell());
        let image = builder.input("image", TensorType::real([1, height, width, 3]));
        builder.output("upscaled", self.network.upscale(&m, image));
        Ok(fuse(builder.finish()?))
    }

    /// The plan for tiles of a size in cells; it is kept.
    pub(super) fn plan(&self, target: &Target, size: [usize; 2]) -> Result<Arc<Plan>> {
        self.component.plan(&size, target, || self.graph(size))
    }

    /// The tiles of a picture: those chosen before within the same bounds, or a new choice.
    ///
    /// # Errors
    /// `Memory` if neither the picture nor the smallest tiles fit.
    pub(super) fn tiles(&mut self, size: [usize; 2]) -> Result<Tiles> {
        let budget = self.budget.bytes().unwrap_or(u64::MAX);
        match &self.chosen {
            Some((known, within, tiles)) if (*known, *within) == (size, budget) => {
                Ok(tiles.clone())
            }
            _ => {
                let tiles = self.choose_tiles(size, budget)?;
                self.chosen = Some((size, budget, tiles.clone()));
                Ok(tiles)
            }
        }
    }

    fn choose_tiles(&self, size: [usize; 2], budget: u64) -> Result<Tiles> {
        let (cell, whole) = (self.network.cell(), size[0].max(size[1]));
        let of = |longest| Tiles::new(size, longest, Seam::beyond(self.network.margin()));
        let fits = |tiles: &Tiles| self.stage(tiles.size())?.fit(budget);
        let tiles = match self.tiling {
            Tiling::Never => of(whole),
            Tiling::Always(pixels) => of((pixels / cell).max(1)),
            Tiling::Auto => {
                let longest = whole.min(LONGEST / cell).min(self.longest);
                let shortest = (SHORTEST / cell).min(longest);
                match fits(&of(longest)) {
                    Ok(()) => return Ok(of(longest)),
                    Err(error) if error.kind() != ErrorKind::Memory => return Err(error),
                    Err(_) => {}
                }
                // Shorter sides never need more memory: halve the interval between what fits and
                // what does not.
                let (mut fitting, mut failing) = (shortest, longest);
                while failing - fitting > 1 {
                    let middle = fitting.midpoint(failing);
                    match fits(&of(middle)) {
                        Ok(()) => fitting = middle,
                        Err(_) => failing = middle,
                    }
                }
                of(fitting)
            }
        };
        fits(&tiles).map(|()| tiles.clone()).map_err(|error: Error| {
            let [height, width] = tiles.size().map(|cells| cells * cell);
            error.context(format!("tiles of {width}x{height} pixels do not fit"))
        })
    }

    /// The memory of tiles of a size.
    fn stage(&self, size: [usize; 2]) -> Result<Stage> {
        let plan = self.plan(self.gpu.target(), size)?;
        Ok(Stage::of("upscaler", [("upscaler", &*plan)]))
    }

    /// Bytes of device memory that a picture of this width and height takes.
    ///
    /// # Errors
    /// As [`tiles`](Upscaler::tiles).
    pub(crate) fn needed_bytes(&mut self, [width, height]: [usize; 2]) -> Result<u64> {
        let cell = self.network.cell();
        let tiles = self.tiles([height, width].map(|pixels| pixels.div_ceil(cell)))?;
        Ok(self.stage(tiles.size())?.bytes())
    }

    /// Bytes of device memory that the upscaler holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.component.bytes()
    }

    /// Reduces the largest tile after the device refused memory for one; returns whether it could.
    pub(super) fn shrink(&mut self) -> bool {
        let shortest = SHORTEST / self.network.cell();
        let side =
            self.chosen.take().map_or(0, |(_, _, tiles)| tiles.size()[0].max(tiles.size()[1]));
        if self.tiling != Tiling::Auto || side <= shortest {
            return false;
        }
        // Half of the area, about.
        self.longest = (side * 7 / 10).max(shortest);
        true
    }
}
