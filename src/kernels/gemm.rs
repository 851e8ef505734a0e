//! The matrix product of `matmul` and `conv2d`: its variants and their order on a target.
//!
//! A variant is a [`Tile`]. `tiled-RxC` reads its operands through workgroup memory and computes R
//! rows by C channels a workgroup; `direct-R` reads memory directly and computes R rows a thread.

use super::preferences::Preferences;
use super::shader::lib;
use super::{Launch, Lib, Target};

static DIRECT: Lib = lib!("gemm_direct");
static TILED: Lib = lib!("gemm_tiled");

/// The number of rows of workgroups along y; the rows beyond continue along z. The shaders have it
/// as `GROUP_ROWS`.
const GROUP_ROWS: u32 = 32_768;

/// The size of a matrix product: out[M, N] = x[M, K] · weight[K, N].
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// M, rows of the output.
    pub rows: usize,
    /// N/4, quads of output channels (not counting the gate's).
    pub quads: usize,
    /// Whether every output quad has a gate quad.
    pub gated: bool,
}

/// The division of the output among workgroups and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Whether operands pass through workgroup memory.
    pub staged: bool,
    /// Rows a thread.
    pub rows: u32,
    /// Quads of output channels a thread.
    pub quads: u32,
    /// Threads along the channels.
    pub group_x: u32,
    /// Threads along the rows.
    pub group_y: u32,
    /// Quads along K that are staged at a time.
    pub slab: u32,
}

impl Tile {
    /// The tiles for a product that fit a target, its default first.
    pub fn variants(size: Size, target: &Target) -> Vec<Tile> {
        let (default, others) = (Tile::default_for(size, target), Tile::candidates(size));
        let others = others.into_iter().filter(|tile| *tile != default);
        std::iter::once(default).chain(others).filter(|tile| tile.fits(size, target)).collect()
    }

    /// The tile that the device class prefers.
    fn default_for(size: Size, target: &Target) -> Tile {
        let quads = if size.gated { 1 } else { 2 };
        match Preferences::of(target.class).staged {
            true if size.rows >= 256 && size.quads >= 16 => Tile::large(quads),
            true => Tile::small(across(size, 2, 8)),
            false => Tile::direct(if size.rows > 64 { 8 } else { 4 }, size),
        }
    }

    /// Every tile that is not much larger than the output.
    fn candidates(size: Size) -> Vec<Tile> {
        let mut tiles = Vec::new();
        if size.rows > 32 && size.quads > 8 && !size.gated {
            tiles.push(Tile::large(2));
        }
        if size.rows > 32 && size.quads > 4 {
            tiles.push(Tile::large(1));
        }
        let widest = across(size, 2, 8);
        let small = [8, 4, 2].into_iter().filter(|group_x| *group_x <= widest).map(Tile::small);
        tiles.extend(
            small.filter(|tile| {
                tile.group_x == widest || 2 * size.rows > tile.group_rows() as usize
            }),
        );
        tiles.extend([Tile::direct(4, size), Tile::direct(8, size)]);
        tiles
    }

    /// 64 rows by 32 channels for each of a thread's quads, staged.
    fn large(quads: u32) -> Tile {
        Tile { staged: true, rows: 8, quads, group_x: 8, group_y: 8, slab: 4 }
    }

    /// Four rows by one quad a thread, staged, for outputs of few rows or channels.
    fn small(group_x: u32) -> Tile {
        Tile { staged: true, rows: 4, quads: 1, group_x, group_y: 64 / group_x, slab: 4 }
    }

    /// So many rows by one quad a thread, read from memory.
    fn direct(rows: u32, size: Size) -> Tile {
        let group_x = across(size, 1, 16);
        Tile { staged: false, rows, quads: 1, group_x, group_y: 64 / group_x, slab: 1 }
    }

    /// The variant's name.
    pub fn name(&self) -> String {
        match self.staged {
            true => format!("tiled-{}x{}", self.group_rows(), 4 * self.group_x * self.quads),
            false => format!("direct-{}", self.rows),
        }
    }

    /// Rows of the output that a workgroup computes.
    fn group_rows(&self) -> u32 {
        self.group_y * self.rows
    }

    /// Columns of sums a thread keeps: its quads and their gates.
    fn columns(&self, gated: bool) -> u32 {
        self.quads * (1 + u32::from(gated))
    }

    /// Workgroup memory, in bytes: a slab of x and a slab of the weight.
    fn memory_bytes(&self, gated: bool) -> u32 {
        let columns = self.group_x * self.columns(gated);
        if self.staged { 16 * self.slab * (self.group_rows() + 4 * columns) } else { 0 }
    }

    fn fits(&self, size: Size, target: &Target) -> bool {
        let direct = !self.staged; // the tiles that every device can run
        direct
            || (self.memory_bytes(size.gated) <= target.workgroup_memory_bytes
                && self.group_x * self.group_y <= target.max_invocations)
    }

    /// The number of workgroups that cover the output.
    fn groups(&self, size: Size) -> [u32; 3] {
        let across = size.quads.div_ceil((self.group_x * self.quads) as usize) as u32;
        let down = size.rows.div_ceil(self.group_rows() as usize) as u32;
        [across, down.min(GROUP_ROWS), down.div_ceil(GROUP_ROWS)]
    }

    /// A launch with the tile's constants and library file.
    pub fn launch(&self, params: &impl bytemuck::NoUninit, size: Size) -> Launch {
        let launch = Launch::new(self.name(), params, self.groups(size))
            .constant("ROWS", self.rows)
            .constant("QUADS", self.quads)
            .constant("COLUMNS", self.columns(size.gated))
            .constant("GROUP_X", self.group_x)
            .constant("GROUP_Y", self.group_y)
            .constant("GROUP_ROWS", GROUP_ROWS);
        if self.staged {
            launch.constant("SLAB", self.slab).lib(&TILED)
        } else {
            launch.lib(&DIRECT)
        }
    }
}

/// Threads along the channels, of 64 in all: where there are few channels, the threads spread over
/// the rows.
fn across(size: Size, least: u32, most: u32) -> u32 {
    (size.quads as u32).next_power_of_two().clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::DeviceClass;
    use crate::shape::Storage;

    fn names(rows: usize, channels: usize, gated: bool, class: DeviceClass) -> Vec<String> {
        let size = Size { rows, quads: channels / 4, gated };
        let target = Target { class, ..Target::webgpu(Storage::F32) };
        Tile::variants(size, &target).iter().map(Tile::name).collect()
    }

    #[test]
    fn the_default_is_that_of_the_class() {
        use DeviceClass::{Adreno, Intel, Portable, Software};
        let table = [
            (4096, 320, false, Portable, "tiled-64x64"),
            (4096, 320, true, Portable, "tiled-64x32"),
            (256, 64, false, Intel, "tiled-64x64"),
            (255, 64, false, Intel, "tiled-32x32"),
            (4096, 16, false, Portable, "tiled-64x16"),
            (4096, 4, false, Portable, "tiled-128x8"),
            (65, 320, false, Adreno, "direct-8"),
            (64, 320, false, Adreno, "direct-4"),
            (4096, 320, true, Software, "direct-8"),
        ];
        for (rows, channels, gated, class, expected) in table {
            let names = names(rows, channels, gated, class);
            assert_eq!(names[0], expected, "{rows} {channels} {gated} {class:?}");
            assert!(names.len() >= 3, "{names:?}");
            let unique: std::collections::BTreeSet<_> = names.iter().collect();
            assert_eq!(unique.len(), names.len(), "{names:?}");
        }
        let all = ["tiled-64x64", "tiled-64x32", "tiled-32x32", "tiled-64x16", "tiled-128x8"];
        let all: Vec<_> = all.into_iter().chain(["direct-4", "direct-8"]).collect();
        assert_eq!(names(4096, 320, false, Portable), all);
    }

    #[test]
    fn a_tile_beyond_the_limits_is_left_out() {
        let size = Size { rows: 4096, quads: 80, gated: false };
        let target = Target { workgroup_memory_bytes: 4 << 10, ..Target::webgpu(Storage::F32) };
        let names: Vec<_> = Tile::variants(size, &target).iter().map(Tile::name).collect();
        assert_eq!(names, ["tiled-32x32", "direct-4", "direct-8"]);
    }
}
