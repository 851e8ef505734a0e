//! The GPU operations: formula, shape rule, variants and f64 reference of each.
//!
//! A kernel is two files of one stem: `shaders/NAME.wgsl` with the entry point `NAME`, and
//! `src/kernels/NAME.rs` with a struct of attributes that implements [`Kernel`]. [`Op`] is the list
//! of all kernels. A kernel lists its [variants](Kernel::variants) for a [`Target`], ordered by the
//! [preferences] of the device class; a table of [`Choices`] may name another than the first.

pub mod activation;
pub mod attention;
pub mod binary;
pub mod blend;
pub mod compose;
pub mod concat;
pub mod conv2d;
pub mod depthwise;
pub mod epilogue;
pub mod gate;
pub mod gemm;
pub mod group_norm;
pub mod group_norm_merge;
pub mod group_norm_stats;
pub mod guidance_rescale;
pub mod layer_norm;
pub mod matmul;
pub mod model_input;
pub mod pixel_shuffle;
pub mod pixel_unshuffle;
pub mod pixels;
pub mod prelu;
pub mod row;
pub mod scale;
pub mod scaled_add;
pub mod scheduler_step;
pub mod timestep_embedding;
pub mod upsample;

pub mod preferences;

mod attention_tile;
mod cases;
mod choices;
mod host_tensor;
mod launch;
mod shader;
mod target;
mod window;

pub use cases::{Case, CaseOperand, Fill, Lcg};
pub use choices::{Choices, key};
pub use host_tensor::HostTensor;
pub use launch::{Constant, Launch};
pub use shader::{Lib, ParamField, Shader};
pub use target::{Capabilities, CooperativeMatrix, DeviceClass, MatrixType, Target};

use crate::shape::{DType, TensorType};
use crate::weights::{WeightFormat, WeightLayout};
use std::fmt;

/// An operand that does not fit a kernel, as a message `what: expected …, got …`. The graph adds the
/// layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch(pub String);

impl Mismatch {
    /// `what: expected …, got …`.
    pub fn new(what: &str, expected: impl fmt::Display, got: impl fmt::Display) -> Self {
        Mismatch(format!("{what}: expected {expected}, got {got}"))
    }
}

/// The types of a node's operands by position, with `None` for an optional operand that is absent. A
/// weight has the shape of the file, as PyTorch has it.
pub type Operands<'a> = &'a [Option<TensorType>];

/// The interface of an operation to the graph, the planner and the tests.
pub trait Kernel {
    /// The WGSL of the operation.
    fn shader(&self) -> &'static Shader;

    /// The shape rule: the result's type, or the operand that does not fit.
    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch>;

    /// The launches that compute the operation within the target's limits, each under a name of its
    /// own. The first is the default of the target's device class; the list is never empty.
    fn variants(&self, operands: Operands, output: TensorType, target: &Target) -> Vec<Launch>;

    /// The operation in plain Rust with f64 arithmetic, written like the formula. Tensors have no
    /// padding here.
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
            /// The operation's interface.
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

            /// The shaders of all kernels.
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
    Compose: compose,
    Concat: concat,
    Conv2d: conv2d,
    Depthwise: depthwise,
    Gate: gate,
    GroupNorm: group_norm,
    GroupNormMerge: group_norm_merge,
    GroupNormStats: group_norm_stats,
    GuidanceRescale: guidance_rescale,
    LayerNorm: layer_norm,
    MatMul: matmul,
    ModelInput: model_input,
    PixelShuffle: pixel_shuffle,
    PixelUnshuffle: pixel_unshuffle,
    Pixels: pixels,
    Prelu: prelu,
    Row: row,
    Scale: scale,
    ScaledAdd: scaled_add,
    SchedulerStep: scheduler_step,
    TimestepEmbedding: timestep_embedding,
    Upsample: upsample,
}

impl Op {
    /// The name: file stem, entry point and the column `kernel` of `croquis plan`.
    pub fn name(&self) -> &'static str {
        self.kernel().shader().name
    }

    /// The launch for a target: the variant that the target's [`Choices`] name, else the first.
    /// `format` gives the format of the weight at a position that is read in a layout.
    pub fn launch(
        &self,
        operands: Operands,
        output: TensorType,
        target: &Target,
        format: impl Fn(usize, WeightLayout) -> WeightFormat,
    ) -> Launch {
        let mut variants = self.kernel().variants(operands, output, target);
        let format = variants[0].matrix().map(|(operand, layout)| format(operand, layout));
        let mut launch = if target.choices.is_empty() {
            variants.swap_remove(0)
        } else {
            let key = key(self, operands, output, target.storage, format);
            choices::choose(variants, &target.choices, &key)
        };
        launch.weight_format = format;
        launch
    }
}

/// The operand at a position, of any element type; an error if it is absent.
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

/// The operand at a position; an error if it is absent or its elements are not of the storage type.
pub(crate) fn required(
    operands: Operands,
    index: usize,
    name: &str,
) -> Result<TensorType, Mismatch> {
    of_type(required_any(operands, index, name)?, DType::Real, name)
}

/// The operand at a position; an error if it is absent or its elements are not f32.
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

/// Checks the type of an optional operand, if it is present.
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

/// The first `N` operands, whose presence `infer` has checked.
pub(crate) fn given<T: Copy, const N: usize>(operands: &[Option<T>]) -> [T; N] {
    std::array::from_fn(|index| match operands[index] {
        Some(operand) => operand,
        None => unreachable!("infer requires operand {index}"),
    })
}

/// Whether an optional operand is present.
pub(crate) fn present(operands: Operands, index: usize) -> bool {
    operands.get(index).copied().flatten().is_some()
}
