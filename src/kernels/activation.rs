//! Activation functions of every element: out = f(x).
//!
//! silu(x) = x·σ(x); gelu(x) = x/2·(1 + erf(x/√2)) (the exact form, arXiv 1606.08415);
//! quick_gelu(x) = x·σ(1.702·x) (CLIP); relu(x) = max(x, 0); leaky_relu(x) = max(x, 0.2·x).

use super::shader::{lib, params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Lib, Mismatch, Operands, Shader, Target, given,
    required,
};
use crate::shape::TensorType;

pub(super) static ACTIVATE: Lib = lib!("activate");

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// x·σ(x), also called Swish.
    Silu,
    /// x/2·(1 + erf(x/√2)).
    Gelu,
    /// x·σ(1.702·x).
    QuickGelu,
    /// max(x, 0).
    Relu,
    /// max(x, 0.2·x).
    LeakyRelu,
}

impl Function {
    /// The value of the header's `ACTIVATION`: 0 for no function, else one of the constants of
    /// `lib/activate.wgsl`.
    pub(super) fn code(function: Option<Function>) -> u32 {
        match function {
            None => 0,
            Some(Function::Silu) => 1,
            Some(Function::Gelu) => 2,
            Some(Function::QuickGelu) => 3,
            Some(Function::Relu) => 4,
            Some(Function::LeakyRelu) => 5,
        }
    }

    /// The name in keys of choices: `silu`.
    pub fn name(self) -> &'static str {
        match self {
            Function::Silu => "silu",
            Function::Gelu => "gelu",
            Function::QuickGelu => "quick_gelu",
            Function::Relu => "relu",
            Function::LeakyRelu => "leaky_relu",
        }
    }

    /// The function in f64; x itself for `None`.
    pub fn reference(function: Option<Function>, x: f64) -> f64 {
        match function {
            None => x,
            Some(Function::Silu) => x / (1.0 + (-x).exp()),
            Some(Function::Gelu) => {
                0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
            }
            Some(Function::QuickGelu) => x / (1.0 + (-1.702 * x).exp()),
            Some(Function::Relu) => x.max(0.0),
            Some(Function::LeakyRelu) => x.max(0.2 * x),
        }
    }
}

/// Operand: x of any shape. Result: the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Activation {
    /// The function.
    pub function: Function,
}

params! {
    struct Params {
        quads: u32,
    }
}

pub(super) static SHADER: Shader = shader!("activation", Params, ["x"]);

impl Kernel for Activation {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?;
        Ok(TensorType::real(x.shape))
    }

    fn variants(&self, _: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let quads = output.shape.padded_len() / 4;
        let launch = Launch::threads(&Params { quads: quads as u32 }, quads)
            .constant("ACTIVATION", Function::code(Some(self.function)))
            .lib(&ACTIVATE)
            .flops(4 * output.shape.len() as u64);
        vec![launch]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x] = given(operands);
        let apply = |x: &f64| Function::reference(Some(self.function), *x);
        HostTensor { shape: x.shape, data: x.data.iter().map(apply).collect() }
    }
}

pub(super) fn cases() -> Vec<Case> {
    [Function::Silu, Function::Gelu, Function::QuickGelu, Function::Relu, Function::LeakyRelu]
        .into_iter()
        .map(|function| {
            Case::new(Activation { function })
                .filled(TensorType::real([3, 7, 5]), Fill::Uniform(8.0))
        })
        .collect()
}
