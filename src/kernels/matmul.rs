//! Matrix product with a fused epilogue, for linear layers and 1×1 convolutions:
//!
//! ```text
//! out[m, n] = f(Σₖ x[m, k] · weight[n, k] + bias[n] + add[b(m), n]) + residual[m, n]
//! ```
//!
//! or, gated, `out[m, n] = (x · weightᵀ + bias)[m, n] · f((x · weightᵀ + bias)[m, N + n])`.

use super::epilogue::{Epilogue, operand};
use super::gemm::{Size, Tile};
use super::scheduler_step::slot;
use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Lcg, Mismatch, Operands, Shader, Target,
    activation::Function, given, required,
};
use crate::shape::{Shape, TensorType};
use crate::weights::WeightLayout;

/// Operands: x `[…, K]`, weight `[N, K]` or `[N, K, 1, 1]`, then those of the [`Epilogue`]. Result:
/// `[…, N]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatMul {
    /// The operations on the sums.
    pub epilogue: Epilogue,
}

params! {
    struct Params {
        rows: u32,
        segments: u32,
        segment_quads: u32,
        weight_quads: u32,
        out_quads: u32,
        rows_per_add: u32,
        add_steps: u32,
    }
}

pub(super) static SHADER: Shader =
    shader!("matmul", Params, ["x", "weight", "bias", "channel_add", "residual", "step"]);

impl Kernel for MatMul {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, operand::X, "x")?;
        let weight = required(operands, operand::WEIGHT, "weight")?;
        let (&[columns, depth] | &[columns, depth, 1, 1]) = weight.shape.dims() else {
            return Err(Mismatch::new("weight", "[O, I] or [O, I, 1, 1]", weight.shape));
        };
        if depth != x.shape.channels() {
            let expected = format!("[…, {depth}] to fit the weight");
            return Err(Mismatch::new("x", expected, x.shape));
        }
        let output = x.shape.with_channels(self.epilogue.channels(columns)?);
        self.epilogue.check(operands, columns, output)?;
        Ok(TensorType::real(output))
    }

    fn variants(&self, operands: Operands, output: TensorType, target: &Target) -> Vec<Launch> {
        let [x, weight] = given(operands);
        let gated = self.epilogue.gated;
        let size = Size { rows: output.shape.rows(), quads: output.shape.quads(), gated };
        let columns = weight.shape.batch();
        let params = Params {
            rows: size.rows as u32,
            segments: 1,
            segment_quads: x.shape.quads() as u32,
            weight_quads: columns.div_ceil(4) as u32,
            out_quads: size.quads as u32,
            rows_per_add: self.epilogue.rows_per_add(operands, output.shape),
            add_steps: self.epilogue.add_steps(operands),
        };
        let launch = |tile: Tile| {
            self.epilogue
                .apply(tile.launch(&params, size), operands)
                .weight(operand::WEIGHT, WeightLayout::Matrix)
                .flops(2 * (size.rows * x.shape.channels() * columns) as u64)
        };
        Tile::variants(size, target).into_iter().map(launch).collect()
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x, weight] = given(operands);
        let depth = x.shape.channels();
        let mut sums = HostTensor::zeros(x.shape.with_channels(weight.shape.batch()));
        for row in 0..x.shape.rows() {
            for (sum, weights) in sums.row_mut(row).iter_mut().zip(weight.data.chunks(depth)) {
                *sum = x.row(row).iter().zip(weights).map(|(a, w)| a * w).sum();
            }
        }
        self.epilogue.reference(sums, operands)
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // (batch, rows, K, N, activation, gated, bias, per-channel add, residual)
    #[rustfmt::skip]
    let table = [
        (1,   1,   4,   4, None,                      false, false, false, false),
        (1,   1,   5,   7, None,                      false, true,  false, false),
        (2,   9,  33,  37, Some(Function::Silu),      false, true,  true,  true),
        (1,  67,  64,  40, Some(Function::Gelu),      false, true,  false, true),
        (1,  16, 130,  12, Some(Function::QuickGelu), false, false, true,  false),
        (3,  11,  20,  16, Some(Function::Relu),      false, true,  false, false),
        (1,  19,  24,  24, Some(Function::Gelu),      true,  true,  false, false),
        (2,   5,  12,  72, Some(Function::Silu),      true,  false, false, true),
        (1, 261,  32,  72, None,                      false, true,  false, false),
        (2, 140,  20,  80, Some(Function::Silu),      true,  true,  false, false),
    ];
    let mut random = Lcg::new(1);
    let drawn = (0..3).map(|_| {
        let [batch, rows, k, n] = random.sizes([3, 110, 70, 90]);
        let activation = random.pick(&[None, Some(Function::Silu), Some(Function::Gelu)]);
        let gated = random.flip();
        let n = if gated { n.next_multiple_of(4) } else { n };
        (batch, rows, k, n, activation, gated, random.flip(), random.flip(), random.flip())
    });
    for (batch, rows, k, n, activation, gated, bias, add, residual) in
        table.into_iter().chain(drawn)
    {
        let columns = if gated { 2 * n } else { n };
        let output = TensorType::real([batch, rows, n]);
        cases.push(
            Case::new(MatMul { epilogue: Epilogue { activation, gated } })
                .operand(TensorType::real([batch, rows, k]))
                .weight([columns, k])
                .weight_if(bias, [columns])
                .operand_if(add, TensorType::real([batch, n]))
                .operand_if(residual, output),
        );
    }
    // A row, selected by the step, of a table for all batch items or of one table for each.
    for table in [Shape::from([5, 20]), Shape::from([2, 5, 20])] {
        cases.push(
            Case::new(MatMul::default())
                .operand(TensorType::real([2, 3, 12]))
                .weight([20, 12, 1, 1])
                .absent()
                .operand(TensorType::real(table))
                .absent()
                .filled(TensorType::f32([slot::LEN]), Fill::Index(5)),
        );
    }
    cases
}
