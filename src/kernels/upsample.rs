//! Upsampling by two with nearest neighbour:
//!
//! `out[n, y, x, c] = in[n, ⌊y/2⌋, ⌊x/2⌋, c]`

use super::shader::{params, shader};
use super::{
    Case, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, required, spread,
};
use crate::shape::TensorType;

/// Operand: x `[N, H, W, C]`. Result: `[N, 2·H, 2·W, C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Upsample;

params! {
    struct Params {
        quads: u32,
        channel_quads: u32,
        in_width: u32,
    }
}

pub(super) static SHADER: Shader = shader!("upsample", Params, ["x"]);

/// Threads of a workgroup.
const GROUP: u32 = 64;

impl Kernel for Upsample {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?;
        let &[n, height, width, channels] = x.shape.dims() else {
            return Err(Mismatch::new("x", "[N, H, W, C]", x.shape));
        };
        Ok(TensorType::real([n, 2 * height, 2 * width, channels]))
    }

    fn launch(&self, _: Operands, output: TensorType, _: &Target) -> Launch {
        let quads = output.shape.padded_len() / 4;
        let params = Params {
            quads: quads as u32,
            channel_quads: output.shape.quads() as u32,
            in_width: (output.shape.dims()[2] / 2) as u32,
        };
        Launch::new(&params, spread(quads.div_ceil(GROUP as usize))).constant("GROUP", GROUP)
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let Some(x) = operands[0] else { unreachable!("infer requires x") };
        let &[n, height, width, channels] = x.shape.dims() else {
            unreachable!("infer requires four dimensions");
        };
        let mut out = HostTensor::zeros([n, 2 * height, 2 * width, channels]);
        for row in 0..out.shape.rows() {
            let (item, y, x_out) =
                (row / (4 * height * width), row / (2 * width) % (2 * height), row % (2 * width));
            let source = (item * height + y / 2) * width + x_out / 2;
            out.row_mut(row).copy_from_slice(x.row(source));
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    [[1, 2, 2, 4], [2, 3, 5, 7], [3, 1, 4, 37], [1, 7, 1, 5]]
        .into_iter()
        .map(|shape| Case::new(Upsample).operand(TensorType::real(shape)))
        .collect()
}
