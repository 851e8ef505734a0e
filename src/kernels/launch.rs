//! Launches: variants of a kernel for one operation on one target.

use super::Lib;
use crate::weights::{WeightFormat, WeightLayout};

/// The value of a `const` line in a shader's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Constant {
    /// `const NAME = 4u;`
    U32(u32),
    /// `const NAME = true;`
    Bool(bool),
}

impl From<u32> for Constant {
    fn from(value: u32) -> Self {
        Constant::U32(value)
    }
}

impl From<bool> for Constant {
    fn from(value: bool) -> Self {
        Constant::Bool(value)
    }
}

/// One dispatch of a kernel in one of its variants.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The variant's name, derived from its tile: `tiled-64x64`, `threads-64`.
    pub variant: String,
    /// The `const` lines of the shader's header.
    pub constants: Vec<(&'static str, Constant)>,
    /// The library files that the shader uses.
    pub libs: Vec<&'static Lib>,
    /// The positions of the operands that are weights, and the layout in which each is read.
    pub weights: Vec<(usize, WeightLayout)>,
    /// The format of the operand `weight`, which the shader reads with `weight_quad`; `None` in a
    /// kernel without that operand, and until the planner has decided.
    pub weight_format: Option<WeightFormat>,
    /// The bytes of the uniform `params`.
    pub params: Vec<u8>,
    /// The number of workgroups along x, y and z.
    pub groups: [u32; 3],
    /// The number of workgroups in all, if the shader counts them by [`Launch::spread`]: then they may be
    /// spread over x and y in another way.
    pub spread: Option<usize>,
    /// Floating-point operations; a multiply-add counts two.
    pub flops: u64,
}

impl Launch {
    /// A launch of a variant without constants, library files and weights.
    pub fn new(
        variant: impl Into<String>,
        params: &impl bytemuck::NoUninit,
        groups: [u32; 3],
    ) -> Self {
        Launch {
            variant: variant.into(),
            constants: Vec::new(),
            libs: Vec::new(),
            weights: Vec::new(),
            weight_format: None,
            params: bytemuck::bytes_of(params).to_vec(),
            groups,
            spread: None,
            flops: 0,
        }
    }

    /// A launch of workgroups that the shader counts along x, then y: `group.y * groups.x + group.x`.
    /// It does nothing for an index past the end.
    pub fn spread(
        variant: impl Into<String>,
        params: &impl bytemuck::NoUninit,
        groups: usize,
    ) -> Self {
        let mut launch = Launch::new(variant, params, spread(groups, MAX_GROUPS));
        launch.spread = Some(groups);
        launch
    }

    /// A launch with one thread for each of `count` quads or elements, in workgroups of the
    /// header's `GROUP` threads that share nothing.
    pub fn threads(params: &impl bytemuck::NoUninit, count: usize) -> Self {
        let groups = count.div_ceil(GROUP as usize);
        Launch::spread(format!("threads-{GROUP}"), params, groups).constant("GROUP", GROUP)
    }

    /// Keeps workgroups that can be spread in another way within a limit along each axis.
    pub fn within(mut self, max_groups: u32) -> Self {
        if let Some(groups) = self.spread.filter(|_| self.groups[0] > max_groups) {
            self.groups = spread(groups, max_groups);
        }
        self
    }

    /// Threads of a workgroup along x and y, which the shader has as constants.
    pub fn threads_of_group(&self) -> [u32; 2] {
        let constant = |name: &str| {
            self.constants.iter().find_map(|(known, value)| match value {
                Constant::U32(value) if *known == name => Some(*value),
                _ => None,
            })
        };
        let pairs = [("GROUP", ""), ("GROUP_X", "GROUP_Y"), ("LANES", "ROWS")];
        let of = |(x, y): (&str, &str)| Some([constant(x)?, constant(y).unwrap_or(1)]);
        pairs.into_iter().find_map(of).unwrap_or([1, 1])
    }

    /// Adds a `const` line to the header.
    pub fn constant(mut self, name: &'static str, value: impl Into<Constant>) -> Self {
        self.constants.push((name, value.into()));
        self
    }

    /// Adds a library file.
    pub fn lib(mut self, lib: &'static Lib) -> Self {
        self.libs.push(lib);
        self
    }

    /// States that the operand at a position is a weight, and the layout in which it is read.
    pub fn weight(mut self, operand: usize, layout: WeightLayout) -> Self {
        self.weights.push((operand, layout));
        self
    }

    /// States the floating-point operations.
    pub fn flops(mut self, flops: u64) -> Self {
        self.flops = flops;
        self
    }

    /// The layout in which the operand at a position is read, if it is a weight.
    pub fn layout(&self, operand: usize) -> Option<WeightLayout> {
        self.weights.iter().find(|(index, _)| *index == operand).map(|(_, layout)| *layout)
    }

    /// The position and layout of the operand that the shader reads with `weight_quad`, if there is
    /// one: the weight that is a matrix or a filter. Vectors have the activations' storage type.
    pub fn matrix(&self) -> Option<(usize, WeightLayout)> {
        self.weights.iter().copied().find(|(_, layout)| *layout != WeightLayout::Vector)
    }
}

/// Threads of a workgroup whose threads share nothing.
const GROUP: u32 = 64;

/// The number of workgroups that WebGPU guarantees along one axis.
const MAX_GROUPS: u32 = 65_535;

/// Spreads a number of workgroups over x and y with at most `most` along x.
fn spread(groups: usize, most: u32) -> [u32; 3] {
    let groups = groups.max(1) as u64;
    let rows = groups.div_ceil(u64::from(most.max(1)));
    [groups.div_ceil(rows) as u32, u32::try_from(rows).unwrap_or(u32::MAX), 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workgroups_are_spread_within_a_limit() {
        for (groups, most, expected) in [
            (0, 65_535, [1, 1, 1]),
            (65_535, 65_535, [65_535, 1, 1]),
            (65_536, 65_535, [32_768, 2, 1]),
            (100, 16, [15, 7, 1]),
            (100, 0, [1, 100, 1]),
        ] {
            assert_eq!(spread(groups, most), expected, "{groups} within {most}");
        }
        let launch = Launch::threads(&0u32, 64 * 100);
        assert_eq!(launch.clone().within(100).groups, [100, 1, 1]);
        assert_eq!(launch.within(16).groups, [15, 7, 1]);
        // The axes of other launches have meanings.
        assert_eq!(Launch::new("tiled", &0u32, [100, 1, 1]).within(16).groups, [100, 1, 1]);
    }
}
