//! The epilogue of `matmul` and `conv2d`: the operations on a finished sum, which are bias,
//! per-channel add, activation or gate, and residual. Both kernels share its operands, constants and
//! reference.

use super::activation::{ACTIVATE, Function};
use super::scheduler_step::slot;
use super::shader::lib;
use super::{HostTensor, Launch, Lib, Mismatch, Operands, optional_shape, present, row};
use crate::shape::{Shape, TensorType};
use crate::weights::WeightLayout;

static EPILOGUE: Lib = lib!("epilogue");

/// Positions of the operands among those of `matmul` and `conv2d`.
pub mod operand {
    /// The input.
    pub const X: usize = 0;
    /// The weight, in PyTorch's shape.
    pub const WEIGHT: usize = 1;
    /// `[O]`: added to every row.
    pub const BIAS: usize = 2;
    /// `[1 or B, O]`: added to every row of a batch item, as a ResBlock adds its time embedding;
    /// with STEP a table `[S, O]` or a table per item `[B, S, O]`, of which one row is added.
    pub const CHANNEL_ADD: usize = 3;
    /// Shaped as the output: added last.
    pub const RESIDUAL: usize = 4;
    /// The scalars of a sampling step, F32 `[40]`, which select the row of CHANNEL_ADD.
    pub const STEP: usize = 5;
}

/// The attributes of the epilogue. Bias, adds and residual are computed where their operands are
/// present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epilogue {
    /// The activation after bias and per-channel add.
    pub activation: Option<Function>,
    /// Whether the weight has twice the output's channels: the second half, through the activation,
    /// multiplies the first (GEGLU, SwiGLU).
    pub gated: bool,
}

impl Epilogue {
    /// The number of output channels for a number of output channels of the weight.
    pub fn channels(&self, weight_columns: usize) -> Result<usize, Mismatch> {
        match self.gated {
            false => Ok(weight_columns),
            true if weight_columns.is_multiple_of(8) => Ok(weight_columns / 2),
            true => Err(Mismatch::new("gated columns", "a multiple of 8", weight_columns)),
        }
    }

    /// Checks the optional operands against the output's shape.
    pub fn check(
        &self,
        operands: Operands,
        weight_columns: usize,
        output: Shape,
    ) -> Result<(), Mismatch> {
        optional_shape(operands, operand::BIAS, "bias", TensorType::real([weight_columns]))?;
        if let Some(add) = operands.get(operand::CHANNEL_ADD).copied().flatten() {
            let channels = output.channels();
            let expected = match *add.shape.dims() {
                [steps, _] if present(operands, operand::STEP) => [steps, channels].into(),
                [_, steps, _] if present(operands, operand::STEP) => {
                    [output.batch(), steps, channels].into()
                }
                _ if add.shape.rows() == 1 => Shape::from([1, channels]),
                _ => [output.batch(), channels].into(),
            };
            let expected = TensorType::real(expected);
            optional_shape(operands, operand::CHANNEL_ADD, "channel_add", expected)?;
        }
        optional_shape(operands, operand::STEP, "step", TensorType::f32([slot::LEN]))?;
        optional_shape(
            operands,
            operand::RESIDUAL,
            "residual",
            TensorType { shape: output, ..TensorType::real([1]) },
        )
    }

    /// The number of output rows that share a row of the per-channel add, or a table of it.
    pub fn rows_per_add(&self, operands: Operands, output: Shape) -> u32 {
        let add = operands.get(operand::CHANNEL_ADD).copied().flatten();
        let rows = add.map_or(1, |add| add.shape.rows() / Self::steps(operands, add.shape));
        output.rows().div_ceil(rows) as u32
    }

    /// The number of rows of a table of the per-channel add.
    pub fn add_steps(&self, operands: Operands) -> u32 {
        let add = operands.get(operand::CHANNEL_ADD).copied().flatten();
        add.map_or(1, |add| Self::steps(operands, add.shape)) as u32
    }

    fn steps(operands: Operands, add: Shape) -> usize {
        if present(operands, operand::STEP) { row::steps(add) } else { 1 }
    }

    /// Adds the constants, library files and weights to a launch.
    pub fn apply(&self, launch: Launch, operands: Operands) -> Launch {
        launch
            .constant("HAS_BIAS", present(operands, operand::BIAS))
            .constant("HAS_CHANNEL_ADD", present(operands, operand::CHANNEL_ADD))
            .constant("HAS_RESIDUAL", present(operands, operand::RESIDUAL))
            .constant("HAS_STEP", present(operands, operand::STEP))
            .constant("STEP_ROW", slot::ROW as u32)
            .constant("GATED", self.gated)
            .constant("ACTIVATION", Function::code(self.activation))
            .lib(&EPILOGUE)
            .lib(&ACTIVATE)
            .weight(operand::BIAS, WeightLayout::Vector)
    }

    /// The epilogue in f64. `sums` has the weight's output channels, the result the output's.
    pub fn reference(&self, sums: HostTensor, operands: &[Option<&HostTensor>]) -> HostTensor {
        let columns = sums.shape.channels();
        let channels = if self.gated { columns / 2 } else { columns };
        let mut out = HostTensor::zeros(sums.shape.with_channels(channels));
        let rows = sums.shape.rows();
        let operand = |index: usize| operands.get(index).copied().flatten();
        for row in 0..rows {
            for channel in 0..channels {
                let bias = |column: usize| operand(operand::BIAS).map_or(0.0, |b| b.data[column]);
                let mut value = sums.row(row)[channel] + bias(channel);
                if let Some(add) = operand(operand::CHANNEL_ADD) {
                    let (steps, selected) = match operand(operand::STEP) {
                        Some(step) => (row::steps(add.shape), step.data[slot::ROW] as usize),
                        None => (1, 0),
                    };
                    let shared = row * (add.shape.rows() / steps) / rows;
                    value += add.row(shared * steps + selected)[channel];
                }
                if self.gated {
                    let gate = sums.row(row)[channels + channel] + bias(channels + channel);
                    value *= Function::reference(self.activation, gate);
                } else {
                    value = Function::reference(self.activation, value);
                }
                if let Some(residual) = operand(operand::RESIDUAL) {
                    value += residual.row(row)[channel];
                }
                out.row_mut(row)[channel] = value;
            }
        }
        out
    }
}
