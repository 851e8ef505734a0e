//! Activation functions, each element alone: out = f(x).
//!
//! silu(x) = x·σ(x); gelu(x) = x/2·(1 + erf(x/√2)) (the exact form, arXiv 1606.08415);
//! quick_gelu(x) = x·σ(1.702·x) (CLIP); relu(x) = max(x, 0).

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
}

impl Function {
    /// The header's `ACTIVATION`: 0 for none, else the constants of `lib/activate.wgsl`.
    pub(super) fn code(function: Option<Function>) -> u32 {
        match function {
            None => 0,
            Some(Function::Silu) => 1,
            Some(Function::Gelu) => 2,
            Some(Function::QuickGelu) => 3,
            Some(Function::Relu) => 4,
        }
    }

    /// The formula in f64.
    pub fn reference(function: Option<Function>, x: f64) -> f64 {
        match function {
            None => x,
            Some(Function::Silu) => x / (1.0 + (-x).exp()),
            Some(Function::Gelu) => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Some(Function::QuickGelu) => x / (1.0 + (-1.702 * x).exp()),
            Some(Function::Relu) => x.max(0.0),
        }
    }
}

/// erf by its Maclaurin series near zero and the continued fraction of erfc beyond (Abramowitz &
/// Stegun 7.1.6 and 7.1.14): accurate to about 1e-15.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a < 2.5 {
        let (mut term, mut sum) = (a, a);
        for n in 1..80 {
            term *= 2.0 * a * a / (2 * n + 1) as f64;
            sum += term;
        }
        return x.signum() * sum * (-a * a).exp() * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let fraction = (1..60).rev().fold(a, |tail, n| a + 0.5 * f64::from(n) / tail);
    x.signum() * (1.0 - (-a * a).exp() / (fraction * std::f64::consts::PI.sqrt()))
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

    fn launch(&self, _: Operands, output: TensorType, _: &Target) -> Launch {
        let quads = output.shape.padded_len() / 4;
        Launch::threads(&Params { quads: quads as u32 }, quads)
            .constant("ACTIVATION", Function::code(Some(self.function)))
            .lib(&ACTIVATE)
            .flops(4 * output.shape.len() as u64)
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x] = given(operands);
        let apply = |x: &f64| Function::reference(Some(self.function), *x);
        HostTensor { shape: x.shape, data: x.data.iter().map(apply).collect() }
    }
}

pub(super) fn cases() -> Vec<Case> {
    [Function::Silu, Function::Gelu, Function::QuickGelu, Function::Relu]
        .into_iter()
        .map(|function| {
            Case::new(Activation { function })
                .filled(TensorType::real([3, 7, 5]), Fill::Uniform(8.0))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn erf_matches_tables() {
        // Abramowitz & Stegun, table 7.1.
        let table = [(0.0, 0.0), (0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9)];
        let tail = [(2.0, 0.995_322_265_0), (2.5, 0.999_593_048_0), (3.0, 0.999_977_909_5)];
        for (x, expected) in table.into_iter().chain(tail) {
            assert!((super::erf(x) - expected).abs() < 1e-10, "erf({x}) = {}", super::erf(x));
            assert_eq!(super::erf(-x), -super::erf(x));
        }
    }
}
