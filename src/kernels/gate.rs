//! A gated activation (GLU variants, arXiv 2002.05202): the second half of the channels, through
//! the activation, multiplies the first.
//!
//! `out[…, c] = x[…, c] · f(x[…, F + c])` for c < F

use super::activation::{ACTIVATE, Function};
use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Lcg, Mismatch, Operands, Shader, Target, given,
    required,
};
use crate::shape::TensorType;

/// Operand: x `[…, 2·F]`, F a multiple of 4. Result: `[…, F]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The activation f of the gate.
    pub function: Function,
}

params! {
    struct Params {
        quads: u32,
        out_quads: u32,
    }
}

pub(super) static SHADER: Shader = shader!("gate", Params, ["x"]);

impl Kernel for Gate {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?.shape;
        if !x.channels().is_multiple_of(8) {
            return Err(Mismatch::new("x", "a multiple of 8 channels", x));
        }
        Ok(TensorType::real(x.with_channels(x.channels() / 2)))
    }

    fn variants(&self, _: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let quads = output.shape.padded_len() / 4;
        let params = Params { quads: quads as u32, out_quads: output.shape.quads() as u32 };
        let launch = Launch::threads(&params, quads)
            .constant("ACTIVATION", Function::code(Some(self.function)))
            .lib(&ACTIVATE)
            .flops(5 * output.shape.len() as u64);
        vec![launch]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x] = given(operands);
        let channels = x.shape.channels() / 2;
        let mut out = HostTensor::zeros(x.shape.with_channels(channels));
        for row in 0..x.shape.rows() {
            let (values, gates) = x.row(row).split_at(channels);
            for ((out, value), gate) in out.row_mut(row).iter_mut().zip(values).zip(gates) {
                *out = value * Function::reference(Some(self.function), *gate);
            }
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut random = Lcg::new(11);
    let drawn = (0..4).map(|_| {
        let [n, rows, eighth] = random.sizes([3, 80, 12]);
        ([n, rows, 8 * eighth], random.pick(&[Function::Silu, Function::Gelu]))
    });
    // (shape of x, function)
    [
        ([3, 7, 8], Function::Gelu),
        ([2, 5, 72], Function::Gelu),
        ([1, 13, 24], Function::Silu),
        ([3, 1, 40], Function::QuickGelu),
        ([2, 9, 16], Function::Relu),
    ]
    .into_iter()
    .chain(drawn)
    .map(|(shape, function)| {
        Case::new(Gate { function }).filled(TensorType::real(shape), Fill::Uniform(4.0))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_whole_quads() {
        let infer = |channels: usize| {
            Gate { function: Function::Gelu }.infer(&[Some(TensorType::real([2, channels]))])
        };
        assert_eq!(infer(24), Ok(TensorType::real([2, 12])));
        assert!(infer(7).is_err());
        assert!(infer(12).is_err());
    }
}
