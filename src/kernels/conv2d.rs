//! Two-dimensional convolution with a fused epilogue, as an implicit matrix product:
//!
//! ```text
//! out[n, y, x, o] = f(Σ_{i,j,c} in[n, s·y + i − top, s·x + j − left, c] · weight[o, c, i, j]
//!                     + bias[o] + add[n, o]) + residual[n, y, x, o]
//! ```
//!
//! where `in` is zero outside, and may be read as if upsampled 2× by nearest neighbour.

use super::epilogue::{Epilogue, operand};
use super::gemm::{Size, Tile};
use super::scheduler_step::slot;
use super::shader::{params, shader};
use super::upsample::Upsample;
use super::window::Window;
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Lcg, Mismatch, Operands, Shader, Target,
    activation::Function, given, required,
};
use crate::shape::{Shape, TensorType};
use crate::weights::WeightLayout;

/// Operands: x `[N, H, W, I]`, weight `[O, I, KH, KW]`, then those of the [`Epilogue`]. Result:
/// `[N, OH, OW, O]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    /// Step between output pixels, in input pixels.
    pub stride: usize,
    /// Zeros around the input: top, bottom, left, right.
    pub padding: [usize; 4],
    /// An upsampling 2× by nearest neighbour of the input, computed as it is read.
    pub upsample: Option<Upsample>,
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
        in_height: u32,
        in_width: u32,
        x_height: u32,
        x_width: u32,
        out_height: u32,
        out_width: u32,
        kernel_width: u32,
        stride: u32,
        pad_top: u32,
        pad_left: u32,
        halve: u32,
    }
}

impl Conv2d {
    /// The window of the filter on x, or on x upsampled.
    fn window(&self, x: Shape, weight: Shape) -> Window {
        let (height, width, kernel) = (x.dims()[1], x.dims()[2], weight.dims());
        let input = self.upsample.map_or([height, width], |upsample| upsample.size(height, width));
        let kernel = [kernel[2], kernel[3]];
        Window { input, kernel, stride: self.stride, padding: self.padding }
    }
}

pub(super) static SHADER: Shader =
    shader!("conv2d", Params, ["x", "weight", "bias", "channel_add", "residual", "step"]);

impl Kernel for Conv2d {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, operand::X, "x")?;
        let weight = required(operands, operand::WEIGHT, "weight")?;
        let &[columns, inputs, _, _] = weight.shape.dims() else {
            return Err(Mismatch::new("weight", "[O, I, KH, KW]", weight.shape));
        };
        let &[n, _, _, channels] = x.shape.dims() else {
            return Err(Mismatch::new("x", "[N, H, W, C]", x.shape));
        };
        if inputs != channels {
            return Err(Mismatch::new("x", format!("[_, _, _, {inputs}]"), x.shape));
        }
        let [height, width] = self.window(x.shape, weight.shape).output()?;
        let output = Shape::from([n, height, width, self.epilogue.channels(columns)?]);
        self.epilogue.check(operands, columns, output)?;
        Ok(TensorType::real(output))
    }

    fn variants(&self, operands: Operands, output: TensorType, target: &Target) -> Vec<Launch> {
        let [x, weight] = given(operands);
        let gated = self.epilogue.gated;
        let size = Size { rows: output.shape.rows(), quads: output.shape.quads(), gated };
        let (input, out, columns) = (x.shape.dims(), output.shape.dims(), weight.shape.batch());
        let Window { input: [height, width], kernel, .. } = self.window(x.shape, weight.shape);
        let params = Params {
            rows: size.rows as u32,
            segments: (kernel[0] * kernel[1]) as u32,
            segment_quads: x.shape.quads() as u32,
            weight_quads: columns.div_ceil(4) as u32,
            out_quads: size.quads as u32,
            rows_per_add: self.epilogue.rows_per_add(operands, output.shape),
            add_steps: self.epilogue.add_steps(operands),
            in_height: height as u32,
            in_width: width as u32,
            x_height: input[1] as u32,
            x_width: input[2] as u32,
            out_height: out[1] as u32,
            out_width: out[2] as u32,
            kernel_width: kernel[1] as u32,
            stride: self.stride as u32,
            pad_top: self.padding[0] as u32,
            pad_left: self.padding[2] as u32,
            halve: u32::from(self.upsample.is_some()),
        };
        let depth = kernel[0] * kernel[1] * x.shape.channels();
        let launch = |tile: Tile| {
            self.epilogue
                .apply(tile.launch(&params, size), operands)
                .weight(operand::WEIGHT, WeightLayout::Conv)
                .flops(2 * (size.rows * depth * columns) as u64)
        };
        Tile::variants(size, target).into_iter().map(launch).collect()
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x, weight] = given(operands);
        let (input, outputs) = (x.shape.dims(), weight.shape.batch());
        let scale = 1 + usize::from(self.upsample.is_some());
        let window = self.window(x.shape, weight.shape);
        let Ok([out_height, out_width]) = window.output() else {
            unreachable!("infer requires an output");
        };
        let mut sums = HostTensor::zeros([input[0], out_height, out_width, outputs]);
        let (inputs, taps) = (input[3], window.kernel[0] * window.kernel[1]);
        for row in 0..sums.shape.rows() {
            let (n, y, x_out) =
                (row / out_width / out_height, row / out_width % out_height, row % out_width);
            for (tap, in_y, in_x) in window.taps(y, x_out) {
                let pixel = (n * input[1] + in_y / scale) * input[2] + in_x / scale;
                for (o, sum) in sums.row_mut(row).iter_mut().enumerate() {
                    let weights = weight.data[o * inputs * taps + tap..].iter().step_by(taps);
                    *sum += x.row(pixel).iter().zip(weights).map(|(a, w)| a * w).sum::<f64>();
                }
            }
        }
        self.epilogue.reference(sums, operands)
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // (N, H, W, I, O, kernel, stride, padding, upsample's trim, activation, per-channel add, residual)
    #[rustfmt::skip]
    let table = [
        (1,  8,  8,  4,  8, 3, 1, [1, 1, 1, 1], None, None,                 false, false),
        (2,  7,  5,  9, 11, 3, 1, [1, 1, 1, 1], None, Some(Function::Silu), true,  true),
        (1,  9,  7, 16, 20, 3, 2, [1, 1, 1, 1], None, None,                 false, false),
        (1,  8, 10, 12, 12, 3, 2, [0, 1, 0, 1], None, None,                 false, false),
        (1,  5,  3, 20,  3, 3, 1, [1, 1, 1, 1], Some([false, false]), None,                 false, true),
        (2,  6,  6,  8, 40, 1, 1, [0, 0, 0, 0], None, None,                 true,  false),
        (1,  4,  6,  7,  5, 1, 2, [0, 0, 0, 0], None, None,                 false, false),
        (2,  3,  4,  8,  8, 3, 1, [1, 1, 1, 1], Some([true, false]), None,                 true,  false),
        (1,  4,  3,  8,  8, 3, 1, [1, 1, 1, 1], Some([true, true]), None,                  false, false),
        (1, 17, 16,  8, 64, 3, 1, [1, 1, 1, 1], None, Some(Function::Gelu), false, true),
    ];
    let mut random = Lcg::new(2);
    let drawn = (0..3).map(|_| {
        let [n, i, o] = random.sizes([3, 24, 40]);
        let [h, w] = [0; 2].map(|_| random.between(4, 12));
        let (kernel, stride) = (random.between(1, 4), random.between(1, 3));
        let padding = [0; 4].map(|_| random.between(0, 2));
        let trim = random.flip().then(|| [random.flip(), random.flip()]);
        let activation = random.pick(&[None, Some(Function::QuickGelu), Some(Function::Relu)]);
        let (add, residual) = (random.flip(), random.flip());
        (n, h, w, i, o, kernel, stride, padding, trim, activation, add, residual)
    });
    let all = table.into_iter().chain(drawn);
    for (n, h, w, i, o, kernel, stride, padding, trim, activation, add, residual) in all {
        let upsample = trim.map(|trim| Upsample { trim });
        let epilogue = Epilogue { activation, gated: false };
        let op = Conv2d { stride, padding, upsample, epilogue };
        let x = TensorType::real([n, h, w, i]);
        let weight = [o, i, kernel, kernel];
        let Ok(output) = op.infer(&[Some(x), Some(TensorType::real(weight))]) else {
            unreachable!("the table holds valid shapes");
        };
        cases.push(
            Case::new(op)
                .operand(x)
                .weight(weight)
                .weight([o])
                .operand_if(add, TensorType::real([n, o]))
                .operand_if(residual, output),
        );
    }
    // One table for each batch item; the step selects a row.
    let epilogue = Epilogue::default();
    cases.push(
        Case::new(Conv2d { stride: 1, padding: [1; 4], upsample: None, epilogue })
            .operand(TensorType::real([2, 5, 6, 8]))
            .weight([12, 8, 3, 3])
            .weight([12])
            .operand(TensorType::real([2, 3, 12]))
            .absent()
            .filled(TensorType::f32([slot::LEN]), Fill::Index(3)),
    );
    cases
}
