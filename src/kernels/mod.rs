//! Every GPU operation: its formula, shape rule, launch and f64 reference, beside its WGSL.
//!
//! A kernel is two files of one stem: `shaders/NAME.wgsl` with the entry point `NAME`, and
//! `src/kernels/NAME.rs` with a struct of attributes that implements [`Kernel`]. [`Op`] lists
//! them all; adding a kernel means those two files and one line below.

pub mod activation;
pub mod attention;
pub mod binary;
pub mod blend;
pub mod concat;
pub mod conv2d;
pub mod depthwise;
pub mod epilogue;
pub mod gate;
pub mod gemm;
pub mod group_norm;
pub mod group_norm_merge;
pub mod group_norm_stats;
pub mod layer_norm;
pub mod matmul;
pub mod model_input;
pub mod pixels;
pub mod row;
pub mod scale;
pub mod scheduler_step;
pub mod timestep_embedding;
pub mod upsample;

mod cases;
mod host_tensor;
mod launch;
mod shader;
mod target;
mod window;

pub use cases::{Case, Fill, Lcg};
pub use host_tensor::HostTensor;
pub use launch::{Constant, Launch, spread};
pub use shader::{Lib, ParamField, Shader};
pub use target::{DeviceClass, Target};

use crate::shape::{DType, TensorType};
use std::fmt;

/// Why operands do not fit a kernel: `expected …, got …`. The graph adds where it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch(pub String);

impl Mismatch {
    /// `what: expected …, got …`.
    pub fn new(what: &str, expected: impl fmt::Display, got: impl fmt::Display) -> Self {
        Mismatch(format!("{what}: expected {expected}, got {got}"))
    }
}

/// The types of a node's operands by position; an operand that may be left out is `None`.
pub type Operands<'a> = &'a [Option<TensorType>];

/// What the graph, the planner and the tests ask of an operation.
pub trait Kernel {
    /// The WGSL of the operation.
    fn shader(&self) -> &'static Shader;

    /// The shape rule: the result's type, or what does not fit.
    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch>;

    /// How the operation runs on a target: constants, parameters, workgroups, work.
    fn launch(&self, operands: Operands, output: TensorType, target: &Target) -> Launch;

    /// The operation in plain Rust with f64 arithmetic, straight from the formula. Padding of the
    /// channel axis does not exist here.
    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor;
}

/// Declares [`Op`], one variant per kernel.
macro_rules! operations {
    ($($variant:ident: $module:ident),* $(,)?) => {
        /// One operation with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)] // each variant is documented at its struct
        pub enum Op {
            $($variant($module::$variant)),*
        }

        impl Op {
            /// The operation as the planner sees it.
            pub fn kernel(&self) -> &dyn Kernel {
                match self {
                    $(Op::$variant(op) => op),*
                }
            }

            /// Test cases of every kernel, in the order of the list.
            pub fn cases() -> Vec<Case> {
                let mut cases = Vec::new();
                $(cases.extend($module::cases());)*
                cases
            }

            /// Every kernel's shader.
            pub const SHADERS: &'static [&'static Shader] = &[$(&$module::SHADER),*];
        }

        $(impl From<$module::$variant> for Op {
            fn from(op: $module::$variant) -> Self {
                Op::$variant(op)
            }
        })*
    };
}

operations! {
    Activation: activation,
    Attention: attention,
    Binary: binary,
    Blend: blend,
    Concat: concat,
    Conv2d: conv2d,
    Depthwise: depthwise,
    Gate: gate,
    GroupNorm: group_norm,
    GroupNormMerge: group_norm_merge,
    GroupNormStats: group_norm_stats,
    LayerNorm: layer_norm,
    MatMul: matmul,
    ModelInput: model_input,
    Pixels: pixels,
    Row: row,
    Scale: scale,
    SchedulerStep: scheduler_step,
    TimestepEmbedding: timestep_embedding,
    Upsample: upsample,
}

impl Op {
    /// The name: file stem, entry point and what `croquis plan` prints.
    pub fn name(&self) -> &'static str {
        self.kernel().shader().name
    }
}

/// The operand at a position, of any element type, or a message that it is missing.
pub(crate) fn required_any(
    operands: Operands,
    index: usize,
    name: &str,
) -> Result<TensorType, Mismatch> {
    operands
        .get(index)
        .copied()
        .flatten()
        .ok_or_else(|| Mismatch(format!("operand {name} is missing")))
}

/// The operand at a position, which must hold elements of the storage type.
pub(crate) fn required(
    operands: Operands,
    index: usize,
    name: &str,
) -> Result<TensorType, Mismatch> {
    of_type(required_any(operands, index, name)?, DType::Real, name)
}

/// The operand at a position, which must hold f32 whatever the storage type.
pub(crate) fn required_f32(
    operands: Operands,
    index: usize,
    name: &str,
) -> Result<TensorType, Mismatch> {
    of_type(required_any(operands, index, name)?, DType::F32, name)
}

fn of_type(tensor: TensorType, dtype: DType, name: &str) -> Result<TensorType, Mismatch> {
    if tensor.dtype == dtype {
        Ok(tensor)
    } else {
        Err(Mismatch::new(name, format!("elements {dtype:?}"), format!("{:?}", tensor.dtype)))
    }
}

/// Checks the shape of an optional operand.
pub(crate) fn optional_shape(
    operands: Operands,
    index: usize,
    name: &str,
    expected: TensorType,
) -> Result<(), Mismatch> {
    match operands.get(index).copied().flatten() {
        Some(got) if got != expected => Err(Mismatch::new(
            name,
            format!("{} {:?}", expected.shape, expected.dtype),
            format!("{} {:?}", got.shape, got.dtype),
        )),
        _ => Ok(()),
    }
}

/// The first operands, which `infer` has found to be there.
pub(crate) fn given<T: Copy, const N: usize>(operands: &[Option<T>]) -> [T; N] {
    std::array::from_fn(|index| match operands[index] {
        Some(operand) => operand,
        None => unreachable!("infer requires operand {index}"),
    })
}

/// Whether an optional operand is there.
pub(crate) fn present(operands: Operands, index: usize) -> bool {
    operands.get(index).copied().flatten().is_some()
}
