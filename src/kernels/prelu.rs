//! The parametric ReLU (He et al., arXiv 1502.01852), whose slope for negative values is a weight of
//! each channel:
//!
//! `out[…, c] = max(x[…, c], 0) + slope[c] · min(x[…, c], 0)`

use super::shader::{params, shader};
use super::{
    Case, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given, optional_shape,
    required,
};
use crate::shape::{Shape, TensorType};
use crate::weights::WeightLayout;

/// Operands: x `[…, C]`, slope `[C]`. Result: x's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Prelu;

params! {
    struct Params {
        quads: u32,
        channel_quads: u32,
    }
}

pub(super) static SHADER: Shader = shader!("prelu", Params, ["x", "slope"]);

impl Kernel for Prelu {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?;
        required(operands, 1, "slope")?;
        optional_shape(operands, 1, "slope", TensorType::real([x.shape.channels()]))?;
        Ok(x)
    }

    fn variants(&self, _: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let quads = output.shape.padded_len() / 4;
        let params = Params { quads: quads as u32, channel_quads: output.shape.quads() as u32 };
        let launch = Launch::threads(&params, quads)
            .weight(1, WeightLayout::Vector)
            .flops(4 * output.shape.len() as u64);
        vec![launch]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x, slope] = given(operands);
        let mut out = x.clone();
        for row in 0..out.shape.rows() {
            for (value, slope) in out.row_mut(row).iter_mut().zip(&slope.data) {
                *value = value.max(0.0) + slope * value.min(0.0);
            }
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    let shapes: [&[usize]; 4] = [&[5], &[2, 3, 5, 7], &[1, 8, 8, 64], &[3, 11, 37]];
    let case = |dims: &[usize]| {
        let shape = Shape::new(dims);
        Case::new(Prelu).operand(TensorType::real(shape)).weight([shape.channels()])
    };
    shapes.into_iter().map(case).collect()
}
