//! The variants of `attention` and their order on a target.

use super::Target;
use super::preferences::Preferences;

/// The division of queries and their channels among the threads of a workgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AttentionTile {
    /// Whether keys and values pass through workgroup memory.
    pub staged: bool,
    /// Threads that share a row, each with every `lanes`-th quad of the head.
    pub lanes: u32,
    /// Quads a thread keeps of the query, and of the sums.
    pub slice: u32,
    /// Threads of a workgroup.
    pub group: u32,
    /// Keys that are scored at a time, a multiple of 4.
    pub keys: u32,
}

impl AttentionTile {
    /// The tiles for a head of so many quads that fit a target, its default first. The last is the
    /// simplest, which needs no workgroup memory.
    pub fn variants(head_quads: u32, target: &Target) -> Vec<AttentionTile> {
        let (default, simplest) =
            (AttentionTile::default_for(head_quads, target), AttentionTile::direct(head_quads));
        let lanes = [1, 2, 4, 8, 16].into_iter().filter(|lanes| {
            let slice = head_quads.div_ceil(*lanes);
            (*lanes == 1 || slice >= 3) && slice <= 10
        });
        let both = lanes.flat_map(|lanes| {
            [true, false].map(|staged| AttentionTile::new(head_quads, staged, lanes, target))
        });
        let others = both.filter(|tile| *tile != default && *tile != simplest);
        let last = (simplest != default).then_some(simplest);
        // The simplest one is there whatever the target, so that what it lacks can be named.
        let fits = |tile: &AttentionTile| *tile == simplest || tile.fits(target);
        std::iter::once(default).chain(others).filter(fits).chain(last).collect()
    }

    /// The tile that the device class prefers: as few threads a query as its registers allow.
    fn default_for(head_quads: u32, target: &Target) -> AttentionTile {
        let preferences = Preferences::of(target.class);
        let most = preferences.register_quads.unwrap_or(head_quads);
        match head_quads.div_ceil(most).next_power_of_two() {
            1 if !preferences.staged => AttentionTile::direct(head_quads),
            lanes => AttentionTile::new(head_quads, preferences.staged, lanes, target),
        }
    }

    /// One thread a query, in small workgroups, without workgroup memory.
    fn direct(head_quads: u32) -> AttentionTile {
        AttentionTile { staged: false, lanes: 1, slice: head_quads, group: 16, keys: 16 }
    }

    fn new(head_quads: u32, staged: bool, lanes: u32, target: &Target) -> AttentionTile {
        let group = if lanes <= 8 { 64 } else { 256 };
        let slice = head_quads.div_ceil(lanes);
        let mut tile = AttentionTile { staged, lanes, slice, group, keys: 16 };
        while tile.keys > 4 && tile.memory_bytes() > target.workgroup_memory_bytes {
            tile.keys /= 2;
        }
        tile
    }

    /// The variant's name.
    pub fn name(&self) -> String {
        let reads = if self.staged { "staged" } else { "direct" };
        format!("{reads}-{}x{}", self.rows(), self.lanes)
    }

    fn fits(&self, target: &Target) -> bool {
        self.memory_bytes() <= target.workgroup_memory_bytes && self.group <= target.max_invocations
    }

    pub fn rows(&self) -> u32 {
        self.group / self.lanes
    }

    /// Quads of workgroup memory for keys or values; at least one, as WGSL has no empty array.
    pub fn staged_quads(&self) -> u32 {
        if self.staged { self.keys * self.slice * self.lanes } else { 1 }
    }

    /// Quads of workgroup memory through which the threads of a row add up their scores.
    pub fn shared_quads(&self) -> u32 {
        if self.lanes > 1 { self.group * self.keys / 4 } else { 1 }
    }

    fn memory_bytes(&self) -> u32 {
        16 * (self.staged_quads() + self.shared_quads())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::DeviceClass;
    use crate::kernels::attention::MAX_HEAD_SIZE;
    use crate::shape::Storage;

    #[test]
    fn every_head_size_fits_the_limits_of_webgpu() {
        for class in DeviceClass::ALL {
            let target = Target { class, ..Target::webgpu(Storage::F16) };
            for head_quads in 1..=MAX_HEAD_SIZE as u32 / 4 {
                let tiles = AttentionTile::variants(head_quads, &target);
                assert_eq!(tiles[0], AttentionTile::default_for(head_quads, &target));
                assert!(tiles.len() >= 3, "{head_quads} {class:?}: {tiles:?}");
                for tile in tiles {
                    assert!(tile.memory_bytes() <= target.workgroup_memory_bytes, "{tile:?}");
                    assert!(tile.group <= target.max_invocations && tile.rows() > 0, "{tile:?}");
                    assert!(tile.lanes * tile.slice >= head_quads && tile.keys >= 4, "{tile:?}");
                }
            }
        }
    }

    #[test]
    fn the_default_is_that_of_the_class() {
        use DeviceClass::{Adreno, Intel, Mali, Nvidia, Portable, Software};
        let table = [
            (40, Portable, "staged-64x1"),
            (40, Intel, "staged-32x2"),
            (40, Mali, "staged-32x2"),
            (40, Adreno, "direct-32x2"),
            (20, Adreno, "direct-16x1"),
            (160, Nvidia, "staged-16x4"),
            (512, Portable, "staged-16x16"),
            (512, Adreno, "direct-8x32"),
            (512, Software, "direct-16x1"),
        ];
        for (head_size, class, expected) in table {
            let target = Target { class, ..Target::webgpu(Storage::F16) };
            let tile = AttentionTile::variants(head_size / 4, &target)[0];
            assert_eq!(tile.name(), expected, "{head_size} {class:?}");
        }
    }
}
