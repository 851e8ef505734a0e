//! Depthwise two-dimensional convolution: each channel is convolved with its own filter.
//!
//! `out[n, y, x, c] = Σ_{i,j} in[n, s·y + i − top, s·x + j − left, c] · weight[c, 0, i, j] + bias[c]`
//!
//! where `in` is zero outside.

use super::shader::{params, shader};
use super::window::Window;
use super::{
    Case, HostTensor, Kernel, Launch, Lcg, Mismatch, Operands, Shader, Target, given,
    optional_shape, present, required,
};
use crate::shape::{Shape, TensorType};
use crate::weights::WeightLayout;

/// Operands: x `[N, H, W, C]`, weight `[C, 1, KH, KW]`, optionally bias `[C]`. Result:
/// `[N, OH, OW, C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Depthwise {
    /// Step between output pixels, in input pixels.
    pub stride: usize,
    /// Zeros around the input: top, bottom, left, right.
    pub padding: [usize; 4],
}

params! {
    struct Params {
        quads: u32,
        channel_quads: u32,
        in_height: u32,
        in_width: u32,
        out_height: u32,
        out_width: u32,
        kernel_height: u32,
        kernel_width: u32,
        stride: u32,
        pad_top: u32,
        pad_left: u32,
    }
}

pub(super) static SHADER: Shader = shader!("depthwise", Params, ["x", "weight", "bias"]);

impl Depthwise {
    /// The window of the filter on x.
    fn window(&self, x: Shape, weight: Shape) -> Window {
        let (input, kernel) = (x.dims(), weight.dims());
        let (input, kernel) = ([input[1], input[2]], [kernel[2], kernel[3]]);
        Window { input, kernel, stride: self.stride, padding: self.padding }
    }
}

impl Kernel for Depthwise {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?;
        let weight = required(operands, 1, "weight")?;
        let &[channels, 1, _, _] = weight.shape.dims() else {
            return Err(Mismatch::new("weight", "[C, 1, KH, KW]", weight.shape));
        };
        let &[n, _, _, inputs] = x.shape.dims() else {
            return Err(Mismatch::new("x", "[N, H, W, C]", x.shape));
        };
        if inputs != channels {
            return Err(Mismatch::new("x", format!("[_, _, _, {channels}]"), x.shape));
        }
        optional_shape(operands, 2, "bias", TensorType::real([channels]))?;
        let [height, width] = self.window(x.shape, weight.shape).output()?;
        Ok(TensorType::real([n, height, width, channels]))
    }

    fn variants(&self, operands: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let [x, weight] = given(operands);
        let (input, out) = (x.shape.dims(), output.shape.dims());
        let kernel = self.window(x.shape, weight.shape).kernel;
        let quads = output.shape.padded_len() / 4;
        let params = Params {
            quads: quads as u32,
            channel_quads: output.shape.quads() as u32,
            in_height: input[1] as u32,
            in_width: input[2] as u32,
            out_height: out[1] as u32,
            out_width: out[2] as u32,
            kernel_height: kernel[0] as u32,
            kernel_width: kernel[1] as u32,
            stride: self.stride as u32,
            pad_top: self.padding[0] as u32,
            pad_left: self.padding[2] as u32,
        };
        let launch = Launch::threads(&params, quads)
            .constant("HAS_BIAS", present(operands, 2))
            .weight(1, WeightLayout::Depthwise)
            .weight(2, WeightLayout::Vector)
            .flops(2 * (output.shape.len() * kernel[0] * kernel[1]) as u64);
        vec![launch]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x, weight] = given(operands);
        let bias = operands.get(2).copied().flatten();
        let window = self.window(x.shape, weight.shape);
        let Ok([out_height, out_width]) = window.output() else {
            unreachable!("infer requires an output");
        };
        let (input, taps) = (x.shape.dims(), window.kernel[0] * window.kernel[1]);
        let mut out = HostTensor::zeros([input[0], out_height, out_width, input[3]]);
        for row in 0..out.shape.rows() {
            let (n, y, x_out) =
                (row / out_width / out_height, row / out_width % out_height, row % out_width);
            if let Some(bias) = bias {
                out.row_mut(row).copy_from_slice(&bias.data);
            }
            for (tap, in_y, in_x) in window.taps(y, x_out) {
                let pixel = x.row((n * input[1] + in_y) * input[2] + in_x);
                let weights = weight.data[tap..].iter().step_by(taps);
                for ((sum, a), w) in out.row_mut(row).iter_mut().zip(pixel).zip(weights) {
                    *sum += a * w;
                }
            }
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    // (shape of x, kernel, stride, padding, bias)
    #[rustfmt::skip]
    let table = [
        ([1, 8, 8,  4], [3, 3], 1, [1, 1, 1, 1], false),
        ([2, 7, 5, 37], [3, 3], 1, [1, 1, 1, 1], true),
        ([3, 9, 6,  5], [3, 3], 2, [1, 1, 1, 1], true),
        ([1, 8, 9,  7], [3, 3], 2, [0, 1, 0, 1], false),
        ([2, 6, 7, 12], [5, 3], 1, [2, 2, 1, 1], true),
        ([1, 5, 8,  8], [2, 4], 3, [0, 0, 3, 0], true),
        ([3, 3, 3,  5], [1, 1], 1, [0, 0, 0, 0], true),
    ];
    let mut random = Lcg::new(3);
    let drawn = (0..4).map(|_| {
        let [n, channels, stride] = random.sizes([3, 40, 3]);
        let x = [n, random.between(5, 14), random.between(5, 14), channels];
        (x, random.sizes([5, 5]), stride, [0; 4].map(|_| random.between(0, 3)), random.flip())
    });
    table
        .into_iter()
        .chain(drawn)
        .map(|(x, [height, width], stride, padding, bias)| {
            Case::new(Depthwise { stride, padding })
                .operand(TensorType::real(x))
                .weight([x[3], 1, height, width])
                .weight_if(bias, [x[3]])
        })
        .collect()
}
