//! Overlapping tiles of pictures that do not fit a device whole: their positions, and the blending
//! of their results into one picture.
//!
//! Lengths are counted in latents. Along an axis all tiles have one length, so that they share one
//! program, and are spread evenly from edge to edge, each over at least a quarter of the next. A
//! tile's weight rises linearly over what it shares with the tile before and falls over what it
//! shares with the tile after:
//!
//! ```text
//! tile 0   ▔▔▔▔▔▔▔╲
//! tile 1        ╱▔▔▔▔▔╲         out = Σ wᵢ·tileᵢ / Σ wᵢ
//! tile 2             ╱▔▔▔▔▔▔▔
//! ```
//!
//! The mean is kept as it runs, out += (wᵢ / Σ_{j≤i} wⱼ)·(tileᵢ − out): where all tiles agree, the
//! result is exactly what they agree on.

/// Whether and how the autoencoder divides pictures into tiles when it decodes and encodes them.
///
/// Tiles are an approximation: group norms and the attention of the middle block see one tile
/// instead of the whole picture, and what lies beyond a tile's border is zero to it. Overlaps hide
/// the borders; tones may still differ a little from those of the whole picture.
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

/// The tiles along one axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    /// The length of the axis.
    pub len: usize,
    /// The length of every tile.
    pub tile: usize,
    /// The start of each tile.
    pub starts: Vec<usize>,
}

impl Axis {
    /// As few tiles of at most `longest` as cover the axis, none longer than that number needs.
    pub(super) fn new(len: usize, longest: usize) -> Axis {
        let longest = longest.clamp(1, len.max(1));
        let tiles = count(len, longest);
        let tile = (1..longest).find(|tile| count(len, *tile) == tiles).unwrap_or(longest);
        let gaps = (tiles - 1).max(1);
        let starts = (0..tiles).map(|tile_index| tile_index * (len - tile) / gaps).collect();
        Axis { len, tile, starts }
    }

    /// The blending factors of tile `index` at each of its cells, wᵢ / Σ_{j≤i} wⱼ; a latent is `scale`
    /// cells long.
    pub(super) fn shares(&self, index: usize, scale: usize) -> Vec<f32> {
        let first = self.starts[index] * scale;
        (first..first + self.tile * scale)
            .map(|cell| {
                let before: f32 = (0..index).map(|tile| self.weight(tile, cell, scale)).sum();
                let own = self.weight(index, cell, scale);
                own / (before + own)
            })
            .collect()
    }

    /// The weight of a tile at a cell of the axis; 0 outside the tile.
    fn weight(&self, index: usize, cell: usize, scale: usize) -> f32 {
        let (start, end) = (self.starts[index], self.starts[index] + self.tile);
        if cell < start * scale || cell >= end * scale {
            return 0.0;
        }
        // Cells are sampled in their middle, so that no weight inside a tile is 0.
        let ramp = |distance: usize, shared: usize| {
            ((distance as f32 + 0.5) / (shared * scale) as f32).min(1.0)
        };
        let previous = index.checked_sub(1).map(|tile| self.starts[tile] + self.tile - start);
        let next = self.starts.get(index + 1).map(|next| end - next);
        let rising = previous.map_or(1.0, |shared| ramp(cell - start * scale, shared));
        let falling = next.map_or(1.0, |shared| ramp(end * scale - 1 - cell, shared));
        rising.min(falling)
    }
}

/// The number of tiles of a length that cover an axis, each overlapping the next by a quarter or more.
fn count(len: usize, tile: usize) -> usize {
    let shared = if tile > 1 { tile.div_ceil(4) } else { 0 };
    1 + len.saturating_sub(tile).div_ceil(tile - shared)
}

/// The tiles of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tiles {
    pub rows: Axis,
    pub columns: Axis,
}

impl Tiles {
    /// As few tiles with sides of at most `longest` as cover a picture, in latents.
    pub(super) fn new(height: usize, width: usize, longest: usize) -> Tiles {
        Tiles { rows: Axis::new(height, longest), columns: Axis::new(width, longest) }
    }

    /// Height and width of every tile, in latents.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.rows.tile, self.columns.tile]
    }

    /// Whether one tile is the whole picture.
    pub(super) fn is_whole(&self) -> bool {
        self.rows.starts.len() * self.columns.starts.len() == 1
    }

    /// Crops one tile from an image `[H, W, C]` with `scale` cells per latent.
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
mod tests {
    use super::*;

    /// Cuts an image into its tiles and puts it together again, each tile changed on the way.
    fn through_tiles(
        tiles: &Tiles,
        image: &[f32],
        channels: usize,
        scale: usize,
        change: impl Fn([usize; 2], f32) -> f32,
    ) -> Vec<f32> {
        let mut mosaic = Mosaic::new(tiles, channels, scale);
        for row in 0..tiles.rows.starts.len() {
            for column in 0..tiles.columns.starts.len() {
                let mut tile = tiles.crop(image, channels, scale, [row, column]);
                tile.iter_mut().for_each(|value| *value = change([row, column], *value));
                mosaic.add([row, column], &tile);
            }
        }
        mosaic.finish()
    }

    #[test]
    fn tiles_cover_an_axis_and_overlap_by_a_quarter() {
        for len in 1..200 {
            for longest in 1..70 {
                let axis = Axis::new(len, longest);
                let context = format!("{longest} of {len}: {axis:?}");
                assert!(axis.tile <= longest.min(len), "{context}");
                assert_eq!(axis.starts[0], 0, "{context}");
                assert_eq!(axis.starts.last().unwrap() + axis.tile, len, "{context}");
                for pair in axis.starts.windows(2) {
                    let shared = pair[0] + axis.tile - pair[1];
                    assert!(
                        pair[1] > pair[0] && (shared >= axis.tile.div_ceil(4) || axis.tile == 1),
                        "{context}"
                    );
                }
                assert_eq!(axis.starts.len() == 1, longest >= len, "{context}");
            }
        }
        // 1024 pixels in tiles of 960: two of 592 do, at less work than two of 960.
        let axis = Axis::new(128, 120);
        assert_eq!((axis.tile, axis.starts), (74, vec![0, 54]));
    }

    #[test]
    fn agreeing_tiles_give_exactly_what_they_agree_on() {
        let (height, width, channels, scale) = (23, 37, 3, 2);
        let len = height * width * channels * scale * scale;
        let image: Vec<f32> = (0..len).map(|i| (i as f32 * 0.7).sin() * 3.0 + 0.1).collect();
        for longest in [5, 8, 11, 16, 30, 64] {
            let tiles = Tiles::new(height, width, longest);
            assert_eq!(through_tiles(&tiles, &image, channels, scale, |_, v| v), image);
        }
    }

    #[test]
    fn weights_are_ramps_that_sum_to_one() {
        // Tiles of constants 0 and 1: the result is the second one's weight.
        let tiles = Tiles::new(1, 20, 12);
        assert_eq!(tiles.columns.starts, [0, 8]);
        let image = vec![0.0; 20 * 4];
        let got = through_tiles(&tiles, &image, 4, 1, |[_, column], _| column as f32);
        let got: Vec<_> = got.chunks(4).map(|cell| cell[0]).collect();
        for (cell, value) in got.iter().enumerate() {
            let expected = ((cell as f32 - 7.5) / 4.0).clamp(0.0, 1.0);
            assert!((value - expected).abs() < 1e-6, "{cell}: {value}, expected {expected}");
        }
    }

    #[test]
    fn no_step_between_tiles_of_different_tone() {
        // Neighbours differ by 1 and share at least 4 latents of 8 cells: no two cells next to
        // each other differ by more than the steepest ramps, of rows and of columns, together.
        let tiles = Tiles::new(40, 56, 16);
        let (height, width) = (40 * 8, 56 * 8);
        let image = vec![0.0; height * width];
        let tone = |[row, column]: [usize; 2], _| ((row + column) % 2) as f32;
        let got = through_tiles(&tiles, &image, 1, 8, tone);
        let steepest = |got: &[f32]| {
            let across = got.chunks(width).flat_map(|row| row.windows(2).map(|w| w[1] - w[0]));
            let down = (width..got.len()).map(|cell| got[cell] - got[cell - width]);
            across.chain(down).fold(0.0, |most: f32, step| most.max(step.abs()))
        };
        assert!(steepest(&got) <= 1.0 / 32.0 + 1e-6, "{}", steepest(&got));
        // Tiles side by side without blending are found out.
        let hard: Vec<f32> = (0..got.len()).map(|cell| (cell % width / 128 % 2) as f32).collect();
        assert_eq!(steepest(&hard), 1.0);
    }

    #[test]
    fn a_value_that_is_not_finite_stays_where_it_is() {
        let tiles = Tiles::new(8, 8, 5);
        let mut image = vec![1.0; 64];
        image[0] = f32::NAN;
        let got = through_tiles(&tiles, &image, 1, 1, |_, v| v);
        assert!(got[0].is_nan() && got[1..].iter().all(|value| *value == 1.0));
    }
}
