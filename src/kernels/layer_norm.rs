//! Layer normalisation (arXiv 1607.06450) of every row of channels:
//!
//! out = (x − mean) / √(variance + ε) · γ + β
//!
//! in two passes, the second over the deviations from the mean. A variant is the number of threads
//! that share a row.

use super::preferences::Preferences;
use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Lcg, Mismatch, Operands, Shader, Target, given,
    optional_shape, required,
};
use crate::shape::TensorType;
use crate::weights::WeightLayout;

/// Operands: x `[…, D]`, gamma `[D]`, beta `[D]`. Result: shaped as x.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNorm {
    /// ε: added to the variance.
    pub epsilon: f32,
}

params! {
    struct Params {
        rows: u32,
        channels: u32,
        quads: u32,
        epsilon: f32,
    }
}

pub(super) static SHADER: Shader = shader!("layer_norm", Params, ["x", "gamma", "beta"]);

/// The numbers of threads that may share a row, and of rows of a workgroup, the default first. Many
/// rows keep a GPU busy with fewer threads each.
fn divisions(rows: usize, target: &Target) -> [(u32, u32); 3] {
    const ALONE: (u32, u32) = (1, 16);
    const FEW: (u32, u32) = (16, 4);
    const MANY: (u32, u32) = (64, 1);
    match Preferences::of(target.class).shared_reductions {
        false => [ALONE, FEW, MANY],
        true if rows >= 2048 => [FEW, MANY, ALONE],
        true => [MANY, FEW, ALONE],
    }
}

impl Kernel for LayerNorm {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?.shape;
        for (index, name) in [(1, "gamma"), (2, "beta")] {
            required(operands, index, name)?;
            optional_shape(operands, index, name, TensorType::real([x.channels()]))?;
        }
        Ok(TensorType::real(x))
    }

    fn variants(&self, _: Operands, output: TensorType, target: &Target) -> Vec<Launch> {
        let shape = output.shape;
        let params = Params {
            rows: shape.rows() as u32,
            channels: shape.channels() as u32,
            quads: shape.quads() as u32,
            epsilon: self.epsilon,
        };
        let launch = |(threads, rows): (u32, u32)| {
            let groups = shape.rows().div_ceil(rows as usize);
            Launch::spread(format!("threads-{threads}"), &params, groups)
                .constant("LANES", threads)
                .constant("ROWS", rows)
                .weight(1, WeightLayout::Vector)
                .weight(2, WeightLayout::Vector)
                .flops(8 * shape.len() as u64)
        };
        divisions(shape.rows(), target).map(launch).into()
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x, gamma, beta] = given(operands);
        let channels = x.shape.channels() as f64;
        let mut out = HostTensor::zeros(x.shape);
        for row in 0..x.shape.rows() {
            let values = x.row(row);
            let mean = values.iter().sum::<f64>() / channels;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / channels;
            let rstd = 1.0 / (variance + f64::from(self.epsilon)).sqrt();
            for (c, v) in values.iter().enumerate() {
                out.row_mut(row)[c] = (v - mean) * rstd * gamma.data[c] + beta.data[c];
            }
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    let (near, far) = (Fill::Uniform(1.0), Fill::Range(99.0, 101.0));
    let table = [
        (TensorType::real([1, 4]), 1e-5, near),
        (TensorType::real([2, 13, 5]), 1e-5, near),
        (TensorType::real([3, 7, 5, 7]), 1e-6, near),
        (TensorType::real([2, 77, 768]), 1e-5, near),
        (TensorType::real([2, 1100, 37]), 1e-5, near),
        (TensorType::real([1, 9, 320]), 1e-5, far),
        (TensorType::real([2, 5, 37]), 1e-6, far),
    ];
    let case = |(x, epsilon, fill): (TensorType, f32, Fill)| {
        Case::new(LayerNorm { epsilon })
            .filled(x, fill)
            .weight([x.shape.channels()])
            .weight([x.shape.channels()])
    };
    let mut random = Lcg::new(5);
    let drawn = (0..4).map(|_| {
        let x = TensorType::real(random.sizes([3, 60, 400]));
        (x, random.pick(&[1e-5, 1e-6]), random.pick(&[near, far]))
    });
    table.into_iter().chain(drawn).map(case).collect()
}
