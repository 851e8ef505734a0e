//! First of three steps of group normalisation (arXiv 1803.08494): the moments of every channel
//! over a tile of consecutive pixels,
//!
//! `mean = Σₚ x[p] / P`, `M2 = Σₚ (x[p] − mean)²`
//!
//! by Welford's recurrence, which is exact where Σx² − (Σx)²/P would cancel. [`GroupNormMerge`]
//! merges the tiles. A variant is the number of threads that share a tile.
//!
//! [`GroupNormMerge`]: super::group_norm_merge::GroupNormMerge

use super::preferences::Preferences;
use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Lcg, Mismatch, Operands, Shader, Target, given,
    required,
};
use crate::shape::{Shape, TensorType};

/// Operand: x `[N, H, W, C]` or `[B, T, C]`. Result: f32 `[N, tiles, 2, C]`, the mean and M2 of
/// each [tile](tile_pixels).
#[derive(Clone, Debug, PartialEq)]
pub struct GroupNormStats;

params! {
    struct Params {
        batch_tiles: u32,
        tiles: u32,
        tile_pixels: u32,
        pixels: u32,
        quads: u32,
    }
}

pub(super) static SHADER: Shader = shader!("group_norm_stats", Params, ["x"]);

/// Quads of channels of a workgroup.
const QUADS: u32 = 16;

/// The number of pixels of a tile; the last tile of an image may have fewer. It is about the square
/// root of the image's pixels, so that this kernel and the merge add similar numbers of terms.
pub fn tile_pixels(pixels: usize) -> usize {
    pixels.isqrt().next_power_of_two().clamp(16, 256)
}

/// The number of tiles of an image of so many pixels.
pub fn tiles(pixels: usize) -> usize {
    pixels.div_ceil(tile_pixels(pixels))
}

/// The number of pixels of each tile.
pub(super) fn tile_sizes(pixels: usize) -> impl Iterator<Item = usize> + Clone {
    let tile = tile_pixels(pixels);
    (0..tiles(pixels)).map(move |t| tile.min(pixels - t * tile))
}

/// The number of pixels of one image, or of tokens of one batch item.
pub(super) fn image_pixels(x: Shape) -> Result<usize, Mismatch> {
    match x.rank() {
        3 | 4 if !x.is_empty() => Ok(x.rows() / x.batch()),
        _ => Err(Mismatch::new("x", "[N, H, W, C] or [B, T, C]", x)),
    }
}

impl Kernel for GroupNormStats {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?.shape;
        Ok(TensorType::f32([x.batch(), tiles(image_pixels(x)?), 2, x.channels()]))
    }

    fn variants(&self, operands: Operands, output: TensorType, target: &Target) -> Vec<Launch> {
        let [x] = given(operands);
        let (batch, quads) = (x.shape.batch(), x.shape.quads());
        let pixels = x.shape.rows() / batch;
        let batch_tiles = batch * output.shape.dims()[1];
        let shared = Preferences::of(target.class).shared_reductions;
        let threads = if shared { [4, 1] } else { [1, 4] };
        let params = Params {
            batch_tiles: batch_tiles as u32,
            tiles: output.shape.dims()[1] as u32,
            tile_pixels: tile_pixels(pixels) as u32,
            pixels: pixels as u32,
            quads: quads as u32,
        };
        let groups = batch_tiles * quads.div_ceil(QUADS as usize);
        let launch = |threads: u32| {
            Launch::spread(format!("threads-{threads}"), &params, groups)
                .constant("GROUP_X", QUADS)
                .constant("GROUP_Y", threads)
                .flops(5 * x.shape.len() as u64)
        };
        threads.map(launch).into()
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x] = given(operands);
        let (batch, channels) = (x.shape.batch(), x.shape.channels());
        let pixels = x.shape.rows() / batch;
        let mut out = HostTensor::zeros([batch, tiles(pixels), 2, channels]);
        let mut row = 0;
        for n in 0..batch {
            for (t, size) in tile_sizes(pixels).enumerate() {
                let stats = (n * tiles(pixels) + t) * 2;
                for c in 0..channels {
                    let values = (row..row + size).map(|p| x.row(p)[c]);
                    let mean = values.clone().sum::<f64>() / size as f64;
                    out.row_mut(stats)[c] = mean;
                    out.row_mut(stats + 1)[c] = values.map(|v| (v - mean).powi(2)).sum();
                }
                row += size;
            }
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    let unit = Fill::Uniform(1.0);
    // A mean that is large against the spread: Σx² − (Σx)²/P would lose most or all of M2.
    let (far, very_far) = (Fill::Range(99.0, 101.0), Fill::Range(999.0, 1001.0));
    let table = [
        (TensorType::real([1, 1, 1, 4]), unit),
        (TensorType::real([2, 7, 5, 7]), unit),
        (TensorType::real([3, 77, 37]), unit),
        (TensorType::real([1, 16, 16, 320]), unit),
        (TensorType::real([1, 37, 29, 5]), unit),
        (TensorType::real([2, 300, 230, 3]), unit),
        (TensorType::real([2, 24, 24, 40]), far),
        (TensorType::real([1, 33, 64, 12]), very_far),
    ];
    let mut random = Lcg::new(6);
    let drawn = (0..4).map(|_| {
        let x = TensorType::real(random.sizes([3, 40, 40, 90]));
        (x, random.pick(&[unit, far]))
    });
    let all = table.into_iter().chain(drawn);
    all.map(|(x, fill)| Case::new(GroupNormStats).filled(x, fill)).collect()
}
