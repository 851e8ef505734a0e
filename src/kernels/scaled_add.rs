//! The sum of a tensor and another one times a constant, such as a residual that a network scales
//! down: `out = a + scale · b`.

use super::shader::{params, shader};
use super::{
    Case, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given, required,
};
use crate::shape::{Shape, TensorType};

/// Operands: a and b of one shape. Result: the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaledAdd {
    /// The factor of b.
    pub scale: f32,
}

params! {
    struct Params {
        quads: u32,
        scale: f32,
    }
}

pub(super) static SHADER: Shader = shader!("scaled_add", Params, ["a", "b"]);

impl Kernel for ScaledAdd {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let a = required(operands, 0, "a")?;
        let b = required(operands, 1, "b")?;
        match a == b {
            true => Ok(a),
            false => Err(Mismatch::new("b", a.shape, b.shape)),
        }
    }

    fn variants(&self, _: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let quads = output.shape.padded_len() / 4;
        let params = Params { quads: quads as u32, scale: self.scale };
        vec![Launch::threads(&params, quads).flops(2 * output.shape.len() as u64)]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [a, b] = given(operands);
        let pairs = a.data.iter().zip(&b.data);
        let data = pairs.map(|(a, b)| a + f64::from(self.scale) * b).collect();
        HostTensor { shape: a.shape, data }
    }
}

pub(super) fn cases() -> Vec<Case> {
    let table: [(f32, &[usize]); 4] =
        [(0.2, &[5]), (0.2, &[2, 3, 5, 7]), (-1.5, &[1, 8, 8, 64]), (0.5, &[3, 11, 37])];
    let case = |(scale, dims): (f32, &[usize])| {
        let tensor = TensorType::real(Shape::new(dims));
        Case::new(ScaledAdd { scale }).operand(tensor).operand(tensor)
    };
    table.into_iter().map(case).collect()
}
