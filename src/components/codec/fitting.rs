//! The choice of tiles: an autoencoder takes the whole picture where that fits the device and the
//! budget, else the largest tiles that do.

use super::network::Direction;
use super::state::{Codec, FittingKey};
use crate::components::tiles::{Seam, Tiles, Tiling};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Plan;
use crate::kernels::Target;
use crate::memory::Stage;
use std::sync::{Arc, PoisonError};

/// The shortest side of a tile that is chosen here, in latents: below, a tile sees too little of
/// the picture for its tones to fit its neighbours'.
const SMALLEST: usize = 16;

/// The number of choices that are kept.
const CHOICES: usize = 4;

impl Codec {
    /// Reduces the largest tile after the device refused memory for one; returns whether it could.
    pub fn shrink(&mut self) -> bool {
        let Some(side) = self.refused.take() else { return false };
        if self.tiling != Tiling::Auto || side <= SMALLEST {
            return false;
        }
        // Half of the area, about.
        self.longest = (side * 7 / 10).max(SMALLEST);
        true
    }

    /// Bytes of device memory that one direction takes for pictures of this size: those already loaded,
    /// or those planned.
    ///
    /// # Errors
    /// As [`plan_for`](Codec::plan_for).
    pub fn needed_bytes(
        &self,
        target: &Target,
        direction: Direction,
        size: [usize; 2],
    ) -> Result<u64> {
        let target = self.target(target);
        let tiles = self.tiles(&target, direction, size)?;
        if self.component.program(&(direction, tiles.size())).is_some() {
            return Ok(self.bytes());
        }
        let plan = self.fitting_plan(&target, direction, tiles.size())?;
        Ok(stage(direction, &plan).bytes())
    }

    /// The plan for pictures of this size in a direction, or for one tile of them; it is kept. The
    /// size is the latents'.
    ///
    /// # Errors
    /// `Weights`, or `Memory` if it does not fit in tiles either.
    pub fn plan_for(
        &self,
        target: &Target,
        direction: Direction,
        size: [usize; 2],
    ) -> Result<Arc<Plan>> {
        let target = self.target(target);
        let tiles = self.tiles(&target, direction, size)?;
        self.plan(&target, direction, tiles.size())
    }

    /// The tiles of a picture of this size: those chosen before under the same bounds, or a new
    /// choice.
    ///
    /// # Errors
    /// `Memory` if neither the picture nor the smallest tiles fit.
    pub(super) fn tiles(
        &self,
        target: &Target,
        direction: Direction,
        size: [usize; 2],
    ) -> Result<Tiles> {
        if let Some(tiles) = self.known_tiles(target, direction, size) {
            return Ok(tiles);
        }
        let tiles = self.choose_tiles(target, direction, size)?;
        let mut choices = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        if choices.len() == CHOICES {
            choices.remove(0);
        }
        choices.push((self.fitting_key(target, direction, size), tiles.clone()));
        Ok(tiles)
    }

    /// The tiles of a picture of this size that were chosen before under the same bounds.
    pub(super) fn known_tiles(
        &self,
        target: &Target,
        direction: Direction,
        size: [usize; 2],
    ) -> Option<Tiles> {
        let key = self.fitting_key(target, direction, size);
        let choices = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        choices.iter().find(|(known, _)| *known == key).map(|(_, tiles)| tiles.clone())
    }

    fn fitting_key(&self, target: &Target, direction: Direction, size: [usize; 2]) -> FittingKey {
        FittingKey {
            target: target.clone(),
            direction,
            size,
            tiling: self.tiling,
            longest: self.longest,
            budget_bytes: self.budget_bytes,
            stage_bytes: self.stage_bytes,
        }
    }

    /// One tile where the picture fits and tiles are not asked for, else the largest that fit.
    fn choose_tiles(
        &self,
        target: &Target,
        direction: Direction,
        size: [usize; 2],
    ) -> Result<Tiles> {
        let [height, width] = size;
        let of = |longest| Tiles::new(size, longest, Seam::QUARTER);
        let whole = of(height.max(width));
        let longest = height.max(width).min(self.longest);
        let fits = |tiles: &Tiles| match self.component.program(&(direction, tiles.size())) {
            Some(_) => Ok(()),
            None => self.fitting_plan(target, direction, tiles.size()).map(|_| ()),
        };
        match self.tiling {
            Tiling::Never => fits(&whole).map(|()| whole),
            Tiling::Always(pixels) => {
                let tiles = of((pixels / self.pixels_per_latent()).max(1));
                fits(&tiles).map(|()| tiles)
            }
            Tiling::Auto => {
                let first = of(longest);
                let Err(error) = fits(&first) else { return Ok(first) };
                let smallest = of(SMALLEST);
                if error.kind() != ErrorKind::Memory || smallest == first {
                    return Err(error);
                }
                fits(&smallest).map_err(|error| {
                    let pixels = self.pixels_per_latent();
                    let [height, width] = smallest.size().map(|latents| latents * pixels);
                    error.context(format!("not even tiles of {width}x{height} pixels fit"))
                })?;
                // Shorter sides never need more memory: halve the interval between what fits and
                // what does not.
                let (mut fitting, mut failing) = (SMALLEST, longest);
                while failing - fitting > 1 {
                    let middle = fitting.midpoint(failing);
                    match fits(&of(middle)) {
                        Ok(()) => fitting = middle,
                        Err(_) => failing = middle,
                    }
                }
                Ok(of(fitting))
            }
        }
    }

    /// The plan for tiles of a size; it is kept.
    pub(super) fn plan(
        &self,
        target: &Target,
        direction: Direction,
        size: [usize; 2],
    ) -> Result<Arc<Plan>> {
        let weights = &self.component.weights;
        let graph = || self.network.graph(weights, direction, size);
        self.component.plan(&(direction, size), target, graph)
    }

    /// [`plan`](Codec::plan), if it fits the budgets.
    fn fitting_plan(
        &self,
        target: &Target,
        direction: Direction,
        size: [usize; 2],
    ) -> Result<Arc<Plan>> {
        let plan = self.plan(target, direction, size)?;
        let (bytes, budget) = (plan.activation_bytes(), self.budget_bytes);
        if bytes > budget {
            let [height, width] = size.map(|latents| latents * self.pixels_per_latent());
            let message = format!(
                "vae: {width}x{height} pixels at once take {bytes} bytes beside the weights, more \
                 than the {budget} allowed; choose a smaller picture"
            );
            return Err(Error::new(ErrorKind::Memory, message));
        }
        stage(direction, &plan).fit(self.stage_bytes)?;
        Ok(plan)
    }

    /// The note for the user about a picture that was made in tiles.
    pub(super) fn note(&self, direction: Direction, tiles: &Tiles) -> Option<String> {
        if tiles.is_whole() {
            return None;
        }
        let what = match direction {
            Direction::Decode => "decoded",
            Direction::Encode => "encoded",
        };
        let (columns, rows) = (tiles.columns.starts.len(), tiles.rows.starts.len());
        let [height, width] = tiles.size().map(|latents| latents * self.pixels_per_latent());
        Some(format!(
            "{what} in {columns}x{rows} tiles of {width}x{height} pixels, an approximation: tones \
             may differ a little from those of the picture {what} whole"
        ))
    }
}

/// The memory of a program of the autoencoder.
fn stage(direction: Direction, plan: &Plan) -> Stage {
    let name = match direction {
        Direction::Decode => "decoder",
        Direction::Encode => "encoder",
    };
    Stage::of(name, [(name, plan)])
}
