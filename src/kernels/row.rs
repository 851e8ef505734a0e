//! One row of a table, chosen on the GPU: `out[0, c] = x[step[0], c]`. What depends on the timestep
//! alone is computed for all steps at once; a step then takes its row.

use super::scheduler_step::slot;
use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given,
    optional_shape, required, required_f32,
};
use crate::shape::TensorType;

/// Operands: x `[S, C]`, step F32 `[32]` (see [`slot`]), of which `slot::ROW` is less than S.
/// Result: `[1, C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Row;

params! {
    struct Params {
        rows: u32,
        quads: u32,
    }
}

pub(super) static SHADER: Shader = shader!("row", Params, ["x", "step"]);

impl Kernel for Row {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?;
        required_f32(operands, 1, "step")?;
        let &[_, channels] = x.shape.dims() else {
            return Err(Mismatch::new("x", "[S, C]", x.shape));
        };
        optional_shape(operands, 1, "step", TensorType::f32([slot::LEN]))?;
        Ok(TensorType::real([1, channels]))
    }

    fn launch(&self, operands: Operands, output: TensorType, _: &Target) -> Launch {
        let [x] = given(operands);
        let quads = output.shape.quads();
        let params = Params { rows: x.shape.rows() as u32, quads: quads as u32 };
        Launch::threads(&params, quads).constant("ROW", slot::ROW as u32)
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x, step] = given(operands);
        let row = (step.data[slot::ROW] as usize).min(x.shape.rows() - 1);
        let mut out = HostTensor::zeros([1, x.shape.channels()]);
        out.row_mut(0).copy_from_slice(x.row(row));
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    // (S, C, upper bound of the row)
    [(1, 5, 1), (20, 37, 20), (7, 320, 7), (50, 4, 50), (3, 8, 9)]
        .into_iter()
        .map(|(rows, channels, bound)| {
            Case::new(Row)
                .operand(TensorType::real([rows, channels]))
                .filled(TensorType::f32([slot::LEN]), Fill::Index(bound))
        })
        .collect()
}
