//! The inverse of pixel shuffle: every block of r×r pixels becomes the channels of one, in the order
//! of PyTorch's `PixelUnshuffle`:
//!
//! `out[n, y, x, r²·c + r·i + j] = in[n, r·y + i, r·x + j, c]`

use super::shader::{params, shader};
use super::{
    Case, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given, required,
};
use crate::shape::TensorType;

/// Operand: x `[N, H, W, C]`, H and W multiples of r. Result: `[N, H/r, W/r, r²·C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelUnshuffle {
    /// The side r of a block.
    pub factor: usize,
}

params! {
    struct Params {
        quads: u32,
        channels: u32,
        channel_quads: u32,
        x_quads: u32,
        width: u32,
        factor: u32,
    }
}

pub(super) static SHADER: Shader = shader!("pixel_unshuffle", Params, ["x"]);

impl Kernel for PixelUnshuffle {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?.shape;
        let r = self.factor;
        match *x.dims() {
            [n, height, width, channels] if r > 0 && height % r == 0 && width % r == 0 => {
                Ok(TensorType::real([n, height / r, width / r, channels * r * r]))
            }
            _ => Err(Mismatch::new("x", format!("[N, H, W, C], H and W multiples of {r}"), x)),
        }
    }

    fn variants(&self, operands: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let [x] = given(operands);
        let quads = output.shape.padded_len() / 4;
        let params = Params {
            quads: quads as u32,
            channels: output.shape.channels() as u32,
            channel_quads: output.shape.quads() as u32,
            x_quads: x.shape.quads() as u32,
            width: x.shape.dims()[2] as u32,
            factor: self.factor as u32,
        };
        vec![Launch::threads(&params, quads)]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x] = given(operands);
        let (r, dims) = (self.factor, x.shape.dims());
        let (n, height, width, channels) = (dims[0], dims[1] / r, dims[2] / r, dims[3]);
        let mut out = HostTensor::zeros([n, height, width, channels * r * r]);
        for row in 0..out.shape.rows() {
            let (line, column) = (row / width, row % width);
            for (to, value) in out.row_mut(row).iter_mut().enumerate() {
                let source = (line * r + to / r % r) * dims[2] + column * r + to % r;
                *value = x.row(source)[to / (r * r)];
            }
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    [([1, 4, 6, 3], 2), ([2, 8, 4, 3], 4), ([1, 3, 9, 5], 3), ([3, 2, 5, 7], 1), ([2, 2, 2, 37], 2)]
        .into_iter()
        .map(|(shape, factor)| {
            Case::new(PixelUnshuffle { factor }).operand(TensorType::real(shape))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::pixel_shuffle::PixelShuffle;

    #[test]
    fn it_undoes_pixel_shuffle() {
        let data = (0..2 * 4 * 6 * 5).map(f64::from).collect();
        let x = HostTensor { shape: [2, 4, 6, 5].into(), data };
        let there = PixelUnshuffle { factor: 2 }.reference(&[Some(&x)]);
        assert_eq!(there.data[..4], [0.0, 5.0, 30.0, 35.0]);
        assert_eq!(PixelShuffle { factor: 2 }.reference(&[Some(&there)]), x);
    }
}
