//! Upsampling by two with nearest neighbour:
//!
//! `out[n, y, x, c] = in[n, ⌊y/2⌋, ⌊x/2⌋, c]`
//!
//! The last row and column may be left out, which is PyTorch's nearest neighbour to a size of 2·H − 1:
//! a UNet whose way down halved an odd size, rounding up, needs it on the way up.

use super::shader::{params, shader};
use super::{
    Case, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given, required,
};
use crate::shape::TensorType;

/// Operand: x `[N, H, W, C]`. Result: `[N, 2·H, 2·W, C]`, or one less where trimmed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Upsample {
    /// Whether the last row and the last column are left out.
    pub trim: [bool; 2],
}

impl Upsample {
    /// Height and width of the result.
    pub(super) fn size(&self, height: usize, width: usize) -> [usize; 2] {
        [2 * height - usize::from(self.trim[0]), 2 * width - usize::from(self.trim[1])]
    }
}

params! {
    struct Params {
        quads: u32,
        channel_quads: u32,
        in_height: u32,
        in_width: u32,
        out_height: u32,
        out_width: u32,
    }
}

pub(super) static SHADER: Shader = shader!("upsample", Params, ["x"]);

impl Kernel for Upsample {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?;
        let &[n, height, width, channels] = x.shape.dims() else {
            return Err(Mismatch::new("x", "[N, H, W, C]", x.shape));
        };
        let [out_height, out_width] = self.size(height, width);
        Ok(TensorType::real([n, out_height, out_width, channels]))
    }

    fn variants(&self, operands: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let [x] = given(operands);
        let quads = output.shape.padded_len() / 4;
        let params = Params {
            quads: quads as u32,
            channel_quads: output.shape.quads() as u32,
            in_height: x.shape.dims()[1] as u32,
            in_width: x.shape.dims()[2] as u32,
            out_height: output.shape.dims()[1] as u32,
            out_width: output.shape.dims()[2] as u32,
        };
        vec![Launch::threads(&params, quads)]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x] = given(operands);
        let &[n, height, width, channels] = x.shape.dims() else {
            unreachable!("infer requires four dimensions");
        };
        let [out_height, out_width] = self.size(height, width);
        let mut out = HostTensor::zeros([n, out_height, out_width, channels]);
        for row in 0..out.shape.rows() {
            let (line, x_out) = (row / out_width, row % out_width);
            let (item, y) = (line / out_height, line % out_height);
            let source = (item * height + y / 2) * width + x_out / 2;
            out.row_mut(row).copy_from_slice(x.row(source));
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    [
        ([1, 2, 2, 4], [false, false]),
        ([2, 3, 5, 7], [false, true]),
        ([3, 1, 4, 37], [true, false]),
        ([1, 7, 1, 5], [true, true]),
    ]
    .into_iter()
    .map(|(shape, trim)| Case::new(Upsample { trim }).operand(TensorType::real(shape)))
    .collect()
}
