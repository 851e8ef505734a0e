//! Overlapping tiles of pictures that do not fit a device whole: their positions, and the blending
//! of their results into one picture.
//!
//! Lengths are counted in the network's cells: latents of an autoencoder, pixels of an upscaler. Along
//! an axis all tiles have one length, so that they share one program, and are spread evenly from edge
//! to edge, each over at least a part of the next, as a [`Seam`] says. A tile's weight rises linearly
//! over what it shares with the tile before and falls over what it shares with the tile after:
//!
//! ```text
//! tile 0   ▔▔▔▔▔▔▔╲
//! tile 1        ╱▔▔▔▔▔╲         out = Σ wᵢ·tileᵢ / Σ wᵢ
//! tile 2             ╱▔▔▔▔▔▔▔
//! ```
//!
//! The mean is kept as it runs, out += (wᵢ / Σ_{j≤i} wⱼ)·(tileᵢ − out): where all tiles agree, the
//! result is exactly what they agree on.

/// Whether and how an autoencoder, or an upscaler, divides pictures into tiles.
///
/// Tiles are an approximation: group norms and the attention of an autoencoder's middle block see one
/// tile instead of the whole picture, and what lies beyond a tile's border is zero to it. Overlaps
/// hide the borders; tones may still differ a little from those of the whole picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tiling {
    /// The whole picture where it fits the device, else as few tiles as fit.
    #[default]
    Auto,
    /// Tiles of at most so many pixels a side.
    Always(usize),
    /// The whole picture or an error.
    Never,
}

/// What neighbouring tiles share, in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seam {
    /// The part of a tile that is shared at least: one divided by this.
    part: usize,
    /// The most that has to be shared.
    enough: usize,
    /// The cells at a tile's border that do not count, where a neighbour covers them: a tile does
    /// not see what they depend on.
    margin: usize,
}

impl Seam {
    /// A quarter of a tile, all of which is blended: for networks in which every cell depends on the
    /// whole tile.
    pub const QUARTER: Seam = Seam { part: 4, enough: usize::MAX, margin: 0 };

    /// A margin of so many cells on both sides of a short blend: for networks in which no cell
    /// depends on others farther away. Tiles that are too short for it share their half, and what margin
    /// that leaves.
    pub const fn beyond(margin: usize) -> Seam {
        Seam { part: 2, enough: 2 * margin + Self::BLEND, margin }
    }

    /// The length of a blend between two margins.
    const BLEND: usize = 8;

    /// The least that tiles of a length share.
    fn least(self, tile: usize) -> usize {
        if tile > 1 { tile.div_ceil(self.part).min(self.enough) } else { 0 }
    }

    /// The weight of a tile at a distance from its border, in units of which a cell has `scale`.
    fn ramp(self, distance: usize, shared: usize, scale: usize) -> f32 {
        let margin = self.margin.min(shared.saturating_sub(Self::BLEND) / 2);
        let blended = (shared - 2 * margin) * scale;
        // Sampled in the middle, so that no weight inside the blend is 0.
        let at = distance as f32 + 0.5 - (margin * scale) as f32;
        (at / blended as f32).clamp(0.0, 1.0)
    }
}

/// The tiles along one axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    /// The length of the axis.
    pub len: usize,
    /// The length of every tile.
    pub tile: usize,
    /// The start of each tile.
    pub starts: Vec<usize>,
    seam: Seam,
}

impl Axis {
    /// As few tiles of at most `longest` as cover the axis, none longer than that number needs.
    pub(super) fn new(len: usize, longest: usize, seam: Seam) -> Axis {
        let longest = longest.clamp(1, len.max(1));
        let count = |tile: usize| 1 + len.saturating_sub(tile).div_ceil(tile - seam.least(tile));
        let tiles = count(longest);
        let tile = (1..longest).find(|tile| count(*tile) == tiles).unwrap_or(longest);
        let gaps = (tiles - 1).max(1);
        let starts = (0..tiles).map(|tile_index| tile_index * (len - tile) / gaps).collect();
        Axis { len, tile, starts, seam }
    }

    /// The blending factors of tile `index` at each pixel along it, wᵢ / Σ_{j≤i} wⱼ; a cell is `scale`
    /// pixels long.
    pub(super) fn shares(&self, index: usize, scale: usize) -> Vec<f32> {
        let first = self.starts[index] * scale;
        (first..first + self.tile * scale)
            .map(|cell| {
                let before: f32 = (0..index).map(|tile| self.weight(tile, cell, scale)).sum();
                let own = self.weight(index, cell, scale);
                // Where neither counts, the next tile replaces this one.
                if before + own == 0.0 { 1.0 } else { own / (before + own) }
            })
            .collect()
    }

    /// The weight of a tile at a cell of the axis; 0 outside the tile.
    fn weight(&self, index: usize, cell: usize, scale: usize) -> f32 {
        let (start, end) = (self.starts[index], self.starts[index] + self.tile);
        if cell < start * scale || cell >= end * scale {
            return 0.0;
        }
        let previous = index.checked_sub(1).map(|tile| self.starts[tile] + self.tile - start);
        let next = self.starts.get(index + 1).map(|next| end - next);
        let rising =
            previous.map_or(1.0, |shared| self.seam.ramp(cell - start * scale, shared, scale));
        let falling =
            next.map_or(1.0, |shared| self.seam.ramp(end * scale - 1 - cell, shared, scale));
        rising.min(falling)
    }
}

/// The tiles of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tiles {
    pub rows: Axis,
    pub columns: Axis,
}

impl Tiles {
    /// As few tiles with sides of at most `longest` as cover a picture, in cells.
    pub(super) fn new([height, width]: [usize; 2], longest: usize, seam: Seam) -> Tiles {
        let axis = |len| Axis::new(len, longest, seam);
        Tiles { rows: axis(height), columns: axis(width) }
    }

    /// Height and width of every tile, in cells.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.rows.tile, self.columns.tile]
    }

    /// Whether one tile is the whole picture.
    pub(super) fn is_whole(&self) -> bool {
        self.count() == 1
    }

    /// The number of tiles.
    pub(super) fn count(&self) -> usize {
        self.rows.starts.len() * self.columns.starts.len()
    }

    /// Crops one tile from an image `[H, W, C]` with `scale` pixels along a cell.
    pub(super) fn crop(
        &self,
        image: &[f32],
        channels: usize,
        scale: usize,
        [row, column]: [usize; 2],
    ) -> Vec<f32> {
        let (top, left) = (self.rows.starts[row] * scale, self.columns.starts[column] * scale);
        let pitch = self.columns.len * scale * channels;
        (top..top + self.rows.tile * scale)
            .flat_map(|y| {
                let start = y * pitch + left * channels;
                &image[start..start + self.columns.tile * scale * channels]
            })
            .copied()
            .collect()
    }
}

/// An image assembled from its tiles.
pub(super) struct Mosaic<'t> {
    tiles: &'t Tiles,
    channels: usize,
    /// Cells a latent.
    scale: usize,
    /// The current row of tiles: `[tile height, W, C]`.
    strip: Vec<f32>,
    image: Vec<f32>,
}

impl<'t> Mosaic<'t> {
    /// An image `[H, W, C]` with `scale` cells a latent.
    pub(super) fn new(tiles: &'t Tiles, channels: usize, scale: usize) -> Self {
        let row = tiles.columns.len * scale * channels;
        Mosaic {
            tiles,
            channels,
            scale,
            strip: vec![0.0; tiles.rows.tile * scale * row],
            image: vec![0.0; tiles.rows.len * scale * row],
        }
    }

    /// Adds the result of a tile. Tiles come row by row, from left to right.
    pub(super) fn add(&mut self, [row, column]: [usize; 2], tile: &[f32]) {
        let Tiles { rows, columns } = self.tiles;
        let pitch = columns.len * self.scale * self.channels;
        let left = columns.starts[column] * self.scale * self.channels;
        let shares = columns.shares(column, self.scale);
        let lines = tile.chunks_exact(columns.tile * self.scale * self.channels);
        for (line, strip) in lines.zip(self.strip.chunks_exact_mut(pitch)) {
            let cells = line.chunks_exact(self.channels);
            let mean = strip[left..].chunks_exact_mut(self.channels);
            for ((cell, mean), share) in cells.zip(mean).zip(&shares) {
                approach(mean, cell, *share);
            }
        }
        if column + 1 == columns.starts.len() {
            let top = rows.starts[row] * self.scale * pitch;
            let lines = self.image[top..].chunks_exact_mut(pitch);
            let shares = rows.shares(row, self.scale);
            for ((mean, line), share) in lines.zip(self.strip.chunks_exact(pitch)).zip(&shares) {
                approach(mean, line, *share);
            }
        }
    }

    /// The image, once every tile was added.
    pub(super) fn finish(self) -> Vec<f32> {
        self.image
    }
}

/// Moves a mean towards new values. A share of 1 replaces it, whatever it was before.
fn approach(mean: &mut [f32], values: &[f32], share: f32) {
    for (mean, value) in mean.iter_mut().zip(values) {
        *mean = if share == 1.0 { *value } else { *mean + share * (value - *mean) };
    }
}

#[cfg(test)]
mod tests;
