//! Matrix product with a fused epilogue, `linear` and 1×1 convolution alike:
//!
//! ```text
//! out[m, n] = f(Σₖ x[m, k] · weight[k, n] + bias[n] + add[b(m), n]) + residual[m, n]
//! ```
//!
//! or, gated, `out[m, n] = (x · weight + bias)[m, n] · f((x · weight + bias)[m, N + n])`.

use super::epilogue::{Epilogue, operand};
use super::gemm::{Size, Tile};
use super::scheduler_step::slot;
use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Lcg, Mismatch, Operands, Shader, Target,
    activation::Function, given, required,
};
use crate::shape::{Shape, TensorType};

/// Operands: x `[…, K]`, weight `[K₄, N]` (K₄: K padded to a multiple of 4), then those of the
/// [`Epilogue`]. Result: `[…, N]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatMul {
    /// What is done with the sums.
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
        if weight.shape.rank() != 2 || weight.shape.dims()[0] != x.shape.quads() * 4 {
            let expected = format!("[…, {}] to fit the weight", weight.shape.dims()[0]);
            return Err(Mismatch::new("x", expected, x.shape));
        }
        let columns = weight.shape.channels();
        let output = x.shape.with_channels(self.epilogue.channels(columns)?);
        self.epilogue.check(operands, columns, output)?;
        Ok(TensorType::real(output))
    }

    fn launch(&self, operands: Operands, output: TensorType, target: &Target) -> Launch {
        let [x, weight] = given(operands);
        let gated = self.epilogue.gated;
        let size = Size { rows: output.shape.rows(), quads: output.shape.quads(), gated };
        let tile = Tile::choose(size, target);
        let params = Params {
            rows: size.rows as u32,
            segments: 1,
            segment_quads: x.shape.quads() as u32,
            weight_quads: weight.shape.quads() as u32,
            out_quads: size.quads as u32,
            rows_per_add: self.epilogue.rows_per_add(operands, output.shape),
            add_steps: self.epilogue.add_steps(operands),
        };
        let launch = tile.apply(Launch::new(&params, tile.groups(size)), gated);
        self.epilogue
            .apply(launch, operands)
            .flops(2 * (size.rows * x.shape.channels() * weight.shape.channels()) as u64)
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x, weight] = given(operands);
        let mut sums = HostTensor::zeros(x.shape.with_channels(weight.shape.channels()));
        for row in 0..x.shape.rows() {
            for (k, a) in x.row(row).iter().enumerate() {
                for (sum, w) in sums.row_mut(row).iter_mut().zip(weight.row(k)) {
                    *sum += a * w;
                }
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
                .operand(TensorType::real([k.next_multiple_of(4), columns]))
                .operand_if(bias, TensorType::real([columns]))
                .operand_if(add, TensorType::real([batch, n]))
                .operand_if(residual, output),
        );
    }
    // A row of a table, of one for all or one for each item, selected by the step.
    for table in [Shape::from([5, 20]), Shape::from([2, 5, 20])] {
        cases.push(
            Case::new(MatMul::default())
                .operand(TensorType::real([2, 3, 12]))
                .operand(TensorType::real([12, 20]))
                .absent()
                .operand(TensorType::real(table))
                .absent()
                .filled(TensorType::f32([slot::LEN]), Fill::Index(5)),
        );
    }
    cases
}
