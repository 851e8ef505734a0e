//! How one operation runs: what the planner records of a kernel.

use super::Lib;

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

/// One dispatch of a kernel.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The header of the shader.
    pub constants: Vec<(&'static str, Constant)>,
    /// The shared functions that the shader uses.
    pub libs: Vec<&'static Lib>,
    /// The bytes of the uniform `params`.
    pub params: Vec<u8>,
    /// How many workgroups, along x, y and z.
    pub groups: [u32; 3],
    /// Floating-point operations; a multiply-add counts two.
    pub flops: u64,
}

impl Launch {
    /// A launch without constants and shared functions.
    pub fn new(params: &impl bytemuck::NoUninit, groups: [u32; 3]) -> Self {
        Launch {
            constants: Vec::new(),
            libs: Vec::new(),
            params: bytemuck::bytes_of(params).to_vec(),
            groups,
            flops: 0,
        }
    }

    /// A launch of a thread for each of so many quads, or elements, in workgroups of the header's
    /// `GROUP`: a kernel whose threads share nothing.
    pub fn threads(params: &impl bytemuck::NoUninit, count: usize) -> Self {
        Launch::new(params, spread(count.div_ceil(GROUP as usize))).constant("GROUP", GROUP)
    }

    /// Adds a `const` line to the header.
    pub fn constant(mut self, name: &'static str, value: impl Into<Constant>) -> Self {
        self.constants.push((name, value.into()));
        self
    }

    /// Adds shared functions.
    pub fn lib(mut self, lib: &'static Lib) -> Self {
        self.libs.push(lib);
        self
    }

    /// States the floating-point operations.
    pub fn flops(mut self, flops: u64) -> Self {
        self.flops = flops;
        self
    }
}

/// Threads of a workgroup that share nothing.
const GROUP: u32 = 64;

/// The most workgroups that WebGPU allows along one axis.
const MAX_GROUPS: u32 = 65_535;

/// Spreads a one-dimensional number of workgroups over x and y. The kernel computes its index as
/// `group.y * groups.x + group.x` and leaves those past the end idle.
pub fn spread(groups: usize) -> [u32; 3] {
    let groups = groups.max(1) as u64;
    let rows = groups.div_ceil(u64::from(MAX_GROUPS));
    [groups.div_ceil(rows) as u32, rows as u32, 1]
}
