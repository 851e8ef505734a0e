//! A tensor times a scalar of the step: `out = x · step[CONTROL]`, the scale of a ControlNet's
//! results in that step.

use super::scheduler_step::slot;
use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given,
    optional_shape, required, required_f32,
};
use crate::shape::{Shape, TensorType};

/// Operands: x of any shape, step F32 `[32]` (see [`slot`]). Result: x's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale;

params! {
    struct Params {
        quads: u32,
    }
}

pub(super) static SHADER: Shader = shader!("scale", Params, ["x", "step"]);

impl Kernel for Scale {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?;
        required_f32(operands, 1, "step")?;
        optional_shape(operands, 1, "step", TensorType::f32([slot::LEN]))?;
        Ok(x)
    }

    fn variants(&self, _: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let quads = output.shape.padded_len() / 4;
        let launch = Launch::threads(&Params { quads: quads as u32 }, quads)
            .constant("CONTROL", slot::CONTROL as u32)
            .flops(output.shape.len() as u64);
        vec![launch]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x, step] = given(operands);
        let mut out = x.clone();
        out.data.iter_mut().for_each(|value| *value *= step.data[slot::CONTROL]);
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    let shapes: [&[usize]; 4] = [&[5], &[2, 3, 5, 7], &[1, 8, 8, 320], &[3, 11, 37]];
    let case = |dims: &[usize]| {
        Case::new(Scale)
            .operand(TensorType::real(Shape::new(dims)))
            .filled(TensorType::f32([slot::LEN]), Fill::Range(-1.0, 2.0))
    };
    shapes.into_iter().map(case).collect()
}
