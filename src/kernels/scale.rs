//! A tensor times one of several scalars: `out = x · scalars[index]`, such as the scale of a
//! ControlNet's results in a step.

use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given, required,
    required_f32,
};
use crate::shape::{Shape, TensorType};

/// Operands: x of any shape, scalars F32 `[n]`. Result: x's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// The position of the factor among the scalars.
    pub index: usize,
}

params! {
    struct Params {
        quads: u32,
        index: u32,
    }
}

pub(super) static SHADER: Shader = shader!("scale", Params, ["x", "scalars"]);

impl Kernel for Scale {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?;
        let scalars = required_f32(operands, 1, "scalars")?.shape;
        if scalars.rank() != 1 || scalars.len() <= self.index {
            let expected = format!("[n] with n > {}", self.index);
            return Err(Mismatch::new("scalars", expected, scalars));
        }
        Ok(x)
    }

    fn variants(&self, _: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let quads = output.shape.padded_len() / 4;
        let params = Params { quads: quads as u32, index: self.index as u32 };
        vec![Launch::threads(&params, quads).flops(output.shape.len() as u64)]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x, scalars] = given(operands);
        let mut out = x.clone();
        out.data.iter_mut().for_each(|value| *value *= scalars.data[self.index]);
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    let shapes: [(&[usize], usize, usize); 4] =
        [(&[5], 0, 1), (&[2, 3, 5, 7], 2, 7), (&[1, 8, 8, 320], 25, 32), (&[3, 11, 37], 1, 3)];
    let case = |(dims, index, scalars): (&[usize], usize, usize)| {
        Case::new(Scale { index })
            .operand(TensorType::real(Shape::new(dims)))
            .filled(TensorType::f32([scalars]), Fill::Range(-1.0, 2.0))
    };
    shapes.into_iter().map(case).collect()
}
