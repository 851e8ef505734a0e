//! The matrix product under `matmul` and `conv2d`: which tile a shape gets on a target.
//!
//! This is the place for tuned families: a variant is a [`Tile`] and, where its inner loop
//! differs, a file `shaders/lib/gemm_*.wgsl`.

use super::shader::lib;
use super::{DeviceClass, Launch, Lib, Target};

static DIRECT: Lib = lib!("gemm_direct");
static TILED: Lib = lib!("gemm_tiled");

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

/// How the output is divided among workgroups and threads.
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
    /// The tile for a product on a target.
    pub fn choose(size: Size, target: &Target) -> Tile {
        let staged = !matches!(target.class, DeviceClass::Adreno | DeviceClass::Software);
        let large = size.rows >= 256 && size.quads >= 16;
        // Where there are few channels, the threads spread over the rows.
        let across = |least: u32, most: u32| {
            let group_x = (size.quads as u32).next_power_of_two().clamp(least, most);
            (group_x, 64 / group_x)
        };
        match (staged, large) {
            (true, true) => {
                let quads = if size.gated { 1 } else { 2 };
                Tile { staged, rows: 8, quads, group_x: 8, group_y: 8, slab: 4 }
            }
            (true, false) => {
                let (group_x, group_y) = across(2, 8);
                Tile { staged, rows: 4, quads: 1, group_x, group_y, slab: 4 }
            }
            (false, _) => {
                let rows = if size.rows > 64 { 8 } else { 4 };
                let (group_x, group_y) = across(1, 16);
                Tile { staged, rows, quads: 1, group_x, group_y, slab: 1 }
            }
        }
    }

    /// Columns of sums a thread keeps: its quads and their gates.
    fn columns(&self, gated: bool) -> u32 {
        self.quads * (1 + u32::from(gated))
    }

    /// How many workgroups cover the output.
    pub fn groups(&self, size: Size) -> [u32; 3] {
        let across = size.quads.div_ceil((self.group_x * self.quads) as usize) as u32;
        let down = size.rows.div_ceil((self.group_y * self.rows) as usize) as u32;
        // The shaders read the row of groups as z * 32768 + y.
        [across, down.min(32_768), down.div_ceil(32_768)]
    }

    /// Adds the tile's constants and shared functions to a launch.
    pub fn apply(&self, launch: Launch, gated: bool) -> Launch {
        let launch = launch
            .constant("ROWS", self.rows)
            .constant("QUADS", self.quads)
            .constant("COLUMNS", self.columns(gated))
            .constant("GROUP_X", self.group_x)
            .constant("GROUP_Y", self.group_y);
        if self.staged {
            launch.constant("SLAB", self.slab).lib(&TILED)
        } else {
            launch.lib(&DIRECT)
        }
    }
}
