//! WGSL sources and the header that the host puts before them.

use super::{Constant, Launch};
use crate::shape::Storage;
use crate::weights::WeightFormat;
use std::fmt::Write;

/// A file of `shaders/lib/`: functions that several kernels share.
#[derive(Debug)]
pub struct Lib {
    /// The file stem.
    pub name: &'static str,
    /// The WGSL text.
    pub source: &'static str,
}

/// A member of a kernel's `Params` struct; every member is a 4-byte scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamField {
    /// The member's name, equal in Rust and WGSL.
    pub name: &'static str,
    /// Its offset in bytes.
    pub offset: usize,
}

/// The WGSL of one kernel and its interface.
#[derive(Debug)]
pub struct Shader {
    /// The file stem and entry point.
    pub name: &'static str,
    /// The WGSL text.
    pub source: &'static str,
    /// Names of the operands, in the order of their bindings from 1; the output follows them.
    pub operands: &'static [&'static str],
    /// The members of `Params`.
    pub params: &'static [ParamField],
}

impl Shader {
    /// The whole module: the header of `enable` and `const` lines, the kernel, the library files of
    /// the launch, the functions of the storage type and of the weight format.
    pub fn module(&self, storage: Storage, launch: &Launch) -> String {
        let mut text = String::with_capacity(self.source.len() + 4096);
        if storage == Storage::F16 || launch.weight_format == Some(WeightFormat::F16) {
            text.push_str("enable f16;\n");
        }
        for (name, value) in &launch.constants {
            let _ = match value {
                Constant::U32(value) => writeln!(text, "const {name} = {value}u;"),
                Constant::Bool(value) => writeln!(text, "const {name} = {value};"),
            };
        }
        text.push_str(self.source);
        for lib in &launch.libs {
            text.push_str(lib.source);
        }
        text.push_str(match storage {
            Storage::F16 => include_str!("../../shaders/lib/storage_f16.wgsl"),
            Storage::Packed => include_str!("../../shaders/lib/storage_packed.wgsl"),
            Storage::F32 => include_str!("../../shaders/lib/storage_f32.wgsl"),
        });
        text.push_str(match launch.weight_format {
            None => "",
            Some(WeightFormat::F16) => include_str!("../../shaders/lib/weight_f16.wgsl"),
            Some(WeightFormat::Packed) => include_str!("../../shaders/lib/weight_packed.wgsl"),
            Some(WeightFormat::F32) => include_str!("../../shaders/lib/weight_f32.wgsl"),
        });
        text
    }
}

/// Declares a kernel's [`Shader`]: `shader!("stem", Params, ["x", "weight"])`.
macro_rules! shader {
    ($stem:literal, $params:ty, [$($operand:literal),* $(,)?]) => {
        $crate::kernels::Shader {
            name: $stem,
            source: include_str!(concat!("../../shaders/", $stem, ".wgsl")),
            operands: &[$($operand),*],
            params: <$params>::FIELDS,
        }
    };
}

/// Declares a `Lib`: `lib!("gemm_tiled")` is `shaders/lib/gemm_tiled.wgsl`.
macro_rules! lib {
    ($stem:literal) => {
        $crate::kernels::Lib {
            name: $stem,
            source: include_str!(concat!("../../shaders/lib/", $stem, ".wgsl")),
        }
    };
}

/// Declares the `#[repr(C)]` parameters of a kernel: 4-byte scalars in the order of the WGSL
/// struct `Params`. A test compares both layouts.
macro_rules! params {
    ($(#[$meta:meta])* struct $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        struct $name { $($field: $type),* }

        impl $name {
            const FIELDS: &'static [$crate::kernels::ParamField] = &[$(
                $crate::kernels::ParamField {
                    name: stringify!($field),
                    offset: std::mem::offset_of!($name, $field),
                }
            ),*];
        }
    };
}

pub(crate) use {lib, params, shader};
