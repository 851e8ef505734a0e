//! One row of each table, chosen on the GPU: `out[b, c] = x[b, step[ROW], c]`. Tensors that depend
//! only on the timestep are computed for all steps at once; a step then reads its row.

use super::scheduler_step::slot;
use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given,
    optional_shape, required, required_f32,
};
use crate::shape::{Shape, TensorType};

/// Operands: x `[S, C]` or `[B, S, C]`, step F32 `[40]` (see [`slot`]), of which `slot::ROW` is less
/// than S. Result: `[1, C]` or `[B, C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Row;

params! {
    struct Params {
        rows: u32,
        quads: u32,
        out_quads: u32,
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
        let (tables, channels) = match *x.shape.dims() {
            [_, channels] => (1, channels),
            [tables, _, channels] => (tables, channels),
            _ => return Err(Mismatch::new("x", "[S, C] or [B, S, C]", x.shape)),
        };
        optional_shape(operands, 1, "step", TensorType::f32([slot::LEN]))?;
        Ok(TensorType::real([tables, channels]))
    }

    fn variants(&self, operands: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let [x] = given(operands);
        let out_quads = output.shape.padded_len() / 4;
        let params = Params {
            rows: steps(x.shape) as u32,
            quads: output.shape.quads() as u32,
            out_quads: out_quads as u32,
        };
        vec![Launch::threads(&params, out_quads).constant("ROW", slot::ROW as u32)]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x, step] = given(operands);
        let steps = steps(x.shape);
        let row = (step.data[slot::ROW] as usize).min(steps - 1);
        let tables = x.shape.rows() / steps;
        let mut out = HostTensor::zeros([tables, x.shape.channels()]);
        for table in 0..tables {
            out.row_mut(table).copy_from_slice(x.row(table * steps + row));
        }
        out
    }
}

/// The number of rows S of a table `[S, C]` or of tables `[B, S, C]`.
pub(super) fn steps(table: Shape) -> usize {
    table.dims()[table.rank() - 2]
}

pub(super) fn cases() -> Vec<Case> {
    // (x, upper bound of the row)
    let table: [(&[usize], u32); 7] = [
        (&[1, 5], 1),
        (&[20, 37], 20),
        (&[7, 320], 7),
        (&[50, 4], 50),
        (&[3, 8], 9),
        (&[2, 5, 37], 5),
        (&[3, 1, 300], 1),
    ];
    let case = |(dims, bound): (&[usize], u32)| {
        Case::new(Row)
            .operand(TensorType::real(Shape::new(dims)))
            .filled(TensorType::f32([slot::LEN]), Fill::Index(bound))
    };
    table.into_iter().map(case).collect()
}
