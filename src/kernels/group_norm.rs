//! Last of three steps of group normalisation: out = f(x·scale + shift), with the scale and shift
//! per channel that [`GroupNormMerge`] computed and f = SiLU or nothing.
//!
//! [`GroupNormMerge`]: super::group_norm_merge::GroupNormMerge

use super::activation::{ACTIVATE, Function};
use super::group_norm_stats::image_pixels;
use super::shader::{params, shader};
use super::{
    Case, HostTensor, Kernel, Launch, Lcg, Mismatch, Operands, Shader, Target, given,
    optional_shape, required, required_f32,
};
use crate::shape::TensorType;

/// Operands: x `[N, H, W, C]` or `[B, T, C]`, scale_shift f32 `[N, 2, C]`. Result: shaped as x.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupNorm {
    /// Whether SiLU follows.
    pub silu: bool,
}

params! {
    struct Params {
        quads: u32,
        row_quads: u32,
        image_quads: u32,
    }
}

pub(super) static SHADER: Shader = shader!("group_norm", Params, ["x", "scale_shift"]);

impl GroupNorm {
    fn function(&self) -> Option<Function> {
        self.silu.then_some(Function::Silu)
    }
}

impl Kernel for GroupNorm {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?.shape;
        image_pixels(x)?;
        required_f32(operands, 1, "scale_shift")?;
        let expected = TensorType::f32([x.batch(), 2, x.channels()]);
        optional_shape(operands, 1, "scale_shift", expected)?;
        Ok(TensorType::real(x))
    }

    fn variants(&self, _: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let shape = output.shape;
        let quads = shape.padded_len() / 4;
        let params = Params {
            quads: quads as u32,
            row_quads: shape.quads() as u32,
            image_quads: (quads / shape.batch()) as u32,
        };
        let flops_per_element = if self.silu { 6 } else { 2 };
        let launch = Launch::threads(&params, quads)
            .constant("ACTIVATION", Function::code(self.function()))
            .lib(&ACTIVATE)
            .flops(flops_per_element * shape.len() as u64);
        vec![launch]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x, scale_shift] = given(operands);
        let mut out = HostTensor::zeros(x.shape);
        let pixels = x.shape.rows() / x.shape.batch();
        for row in 0..x.shape.rows() {
            let n = row / pixels;
            let (scale, shift) = (scale_shift.row(2 * n), scale_shift.row(2 * n + 1));
            for (c, v) in x.row(row).iter().enumerate() {
                let y = Function::reference(self.function(), v * scale[c] + shift[c]);
                out.row_mut(row)[c] = y;
            }
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    let table = [
        (TensorType::real([1, 1, 1, 4]), false),
        (TensorType::real([2, 7, 5, 7]), true),
        (TensorType::real([3, 77, 37]), false),
        (TensorType::real([2, 9, 13, 5]), true),
        (TensorType::real([2, 8, 8, 320]), true),
    ];
    let case = |(x, silu): (TensorType, bool)| {
        let scale_shift = TensorType::f32([x.shape.batch(), 2, x.shape.channels()]);
        Case::new(GroupNorm { silu }).operand(x).operand(scale_shift)
    };
    let mut random = Lcg::new(8);
    let drawn = (0..4).map(|_| (TensorType::real(random.sizes([3, 12, 12, 90])), random.flip()));
    table.into_iter().chain(drawn).map(case).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::group_norm_merge::GroupNormMerge;
    use crate::kernels::group_norm_stats::GroupNormStats;
    use crate::kernels::{Fill, Lcg};

    #[test]
    fn three_steps_are_group_normalisation() {
        for (pixels, channels, groups, epsilon) in
            [(1, 8, 2, 1e-5), (35, 12, 4, 1e-6), (300, 20, 2, 1e-5), (77, 37, 1, 1e-6)]
        {
            let mut random = Lcg::new(pixels as u64);
            let mut tensor = |dims: &[usize], fill| {
                let mut tensor = HostTensor::zeros(crate::shape::Shape::new(dims));
                tensor.data.fill_with(|| random.draw(fill));
                tensor
            };
            let x = tensor(&[3, pixels, channels], Fill::Range(2.0, 5.0));
            let gamma = tensor(&[channels], Fill::Uniform(1.0));
            let beta = tensor(&[channels], Fill::Uniform(1.0));
            let stats = GroupNormStats.reference(&[Some(&x)]);
            let merge = GroupNormMerge { groups, epsilon, pixels };
            let scale_shift = merge.reference(&[Some(&stats), Some(&gamma), Some(&beta)]);
            let out = GroupNorm { silu: false }.reference(&[Some(&x), Some(&scale_shift)]);

            // The definition: every group of an image has mean 0 and variance 1 before γ and β.
            let width = channels / groups;
            for n in 0..3 {
                for first in (0..channels).step_by(width) {
                    let members = || {
                        let rows = n * pixels..(n + 1) * pixels;
                        rows.flat_map(|row| (first..first + width).map(move |c| (row, c)))
                    };
                    let count = (pixels * width) as f64;
                    let mean = members().map(|(row, c)| x.row(row)[c]).sum::<f64>() / count;
                    let square = |(row, c): (usize, usize)| (x.row(row)[c] - mean).powi(2);
                    let variance = members().map(square).sum::<f64>() / count;
                    for (row, c) in members() {
                        let unit = (x.row(row)[c] - mean) / (variance + f64::from(epsilon)).sqrt();
                        let expected = unit * gamma.data[c] + beta.data[c];
                        assert!((out.row(row)[c] - expected).abs() < 1e-9);
                    }
                }
            }
        }
    }
}
