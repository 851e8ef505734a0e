//! Second of three steps of group normalisation: merges the moments of the tiles and channels of a
//! group, and makes a scale and a shift per channel of them,
//!
//! mean = Σ nₜ·meanₜ / Σ nₜ,  variance = Σ (M2ₜ + nₜ·(meanₜ − mean)²) / Σ nₜ  (Chan's formula)
//!
//! scale = γ / √(variance + ε),  shift = β − mean·scale
//!
//! A variant is the number of threads that share a group of channels.

use super::group_norm_stats::{tile_pixels, tile_sizes, tiles};
use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Lcg, Mismatch, Operands, Shader, Target, given,
    optional_shape, required, required_f32,
};
use crate::shape::TensorType;
use crate::weights::WeightLayout;

/// Operands: stats f32 `[N, tiles, 2, C]` from [`GroupNormStats`], gamma `[C]`, beta `[C]`.
/// Result: f32 `[N, 2, C]`, scale and shift.
///
/// [`GroupNormStats`]: super::group_norm_stats::GroupNormStats
#[derive(Clone, Debug, PartialEq)]
pub struct GroupNormMerge {
    /// The number of groups of channels.
    pub groups: usize,
    /// ε: added to the variance.
    pub epsilon: f32,
    /// The number of pixels of an image.
    pub pixels: usize,
}

params! {
    struct Params {
        groups: u32,
        group_channels: u32,
        padded_channels: u32,
        tiles: u32,
        tile_pixels: u32,
        pixels: u32,
        epsilon: f32,
    }
}

/// Whether a workgroup may have so many threads; every device has 64.
fn fits(threads: u32, target: &Target) -> bool {
    threads <= target.max_invocations.max(64)
}

pub(super) static SHADER: Shader = shader!("group_norm_merge", Params, ["stats", "gamma", "beta"]);

impl Kernel for GroupNormMerge {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let stats = required_f32(operands, 0, "stats")?;
        let (batch, channels) = (stats.shape.batch(), stats.shape.channels());
        let expected = TensorType::f32([batch, tiles(self.pixels), 2, channels]);
        optional_shape(operands, 0, "stats", expected)?;
        if self.groups == 0 || !channels.is_multiple_of(self.groups) {
            let expected = format!("a multiple of {} groups", self.groups);
            return Err(Mismatch::new("channels", expected, channels));
        }
        for (index, name) in [(1, "gamma"), (2, "beta")] {
            required(operands, index, name)?;
            optional_shape(operands, index, name, TensorType::real([channels]))?;
        }
        Ok(TensorType::f32([batch, 2, channels]))
    }

    fn variants(&self, _: Operands, output: TensorType, target: &Target) -> Vec<Launch> {
        let (batch, channels) = (output.shape.batch(), output.shape.channels());
        let (tiles, group_channels) = (tiles(self.pixels), channels / self.groups);
        let params = Params {
            groups: self.groups as u32,
            group_channels: group_channels as u32,
            padded_channels: output.shape.quads() as u32 * 4,
            tiles: tiles as u32,
            tile_pixels: tile_pixels(self.pixels) as u32,
            pixels: self.pixels as u32,
            epsilon: self.epsilon,
        };
        let threads = if tiles * group_channels > 1024 { [256, 64] } else { [64, 256] };
        let launch = |threads: u32| {
            let groups = [self.groups as u32, batch as u32, 1];
            Launch::new(format!("threads-{threads}"), &params, groups)
                .constant("GROUP", threads)
                .weight(1, WeightLayout::Vector)
                .weight(2, WeightLayout::Vector)
                .flops((6 * batch * tiles * channels) as u64)
        };
        threads.into_iter().filter(|threads| fits(*threads, target)).map(launch).collect()
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [stats, gamma, beta] = given(operands);
        let (batch, channels) = (stats.shape.batch(), stats.shape.channels());
        let group_channels = channels / self.groups;
        let total = (self.pixels * group_channels) as f64;
        let mut out = HostTensor::zeros([batch, 2, channels]);
        for n in 0..batch {
            for first in (0..channels).step_by(group_channels) {
                let group = first..first + group_channels;
                // (pixels, mean, M2) of every tile and channel of the group
                let parts = tile_sizes(self.pixels).enumerate().flat_map(|(t, size)| {
                    let row = (n * tiles(self.pixels) + t) * 2;
                    let part = move |c| (size as f64, stats.row(row)[c], stats.row(row + 1)[c]);
                    group.clone().map(part)
                });
                let mean = parts.clone().map(|(size, mean, _)| size * mean).sum::<f64>() / total;
                let spread = |(size, part, m2): (f64, f64, f64)| m2 + size * (part - mean).powi(2);
                let variance = parts.map(spread).sum::<f64>() / total;
                for c in group.clone() {
                    let scale = gamma.data[c] / (variance + f64::from(self.epsilon)).sqrt();
                    out.row_mut(n * 2)[c] = scale;
                    out.row_mut(n * 2 + 1)[c] = beta.data[c] - mean * scale;
                }
            }
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    // M2 is never negative, so neither are the means of these cases.
    let (near, far) = (Fill::Range(0.0, 2.0), Fill::Range(99.0, 101.0));
    // (N, pixels, C, groups, ε, stats)
    #[rustfmt::skip]
    let table = [
        (1,     1,   4,  1, 1e-5, near),
        (2,    35,   7,  7, 1e-5, near),
        (3,    77,  37,  1, 1e-6, near),
        (2,   300,   5,  1, 1e-6, near),
        (1,  4096,  64, 32, 1e-5, near),
        (2,   256, 320, 32, 1e-5, near),
        (1, 69000,  12,  3, 1e-6, near),
        (2,   576,  40,  4, 1e-5, far),
    ];
    let case = |(n, pixels, channels, groups, epsilon, fill)| {
        Case::new(GroupNormMerge { groups, epsilon, pixels })
            .filled(TensorType::f32([n, tiles(pixels), 2, channels]), fill)
            .weight([channels])
            .weight([channels])
    };
    let mut random = Lcg::new(7);
    let drawn = (0..4).map(|_| {
        let [n, pixels, groups, group_channels] = random.sizes([3, 2000, 9, 11]);
        (n, pixels, groups * group_channels, groups, 1e-5, random.pick(&[near, far]))
    });
    table.into_iter().chain(drawn).map(case).collect()
}
