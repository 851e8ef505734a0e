//! Pixel shuffle (Shi et al., arXiv 1609.05158, equation 4): every r·r channels become a block of
//! r×r pixels, in the order of PyTorch's `PixelShuffle`, optionally added to an image of the smaller
//! size that is upsampled by nearest neighbour:
//!
//! `out[n, r·y + i, r·x + j, c] = in[n, y, x, r²·c + r·i + j] + base[n, y, x, c]`

use super::shader::{params, shader};
use super::{
    Case, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given, optional_shape,
    present, required,
};
use crate::shape::TensorType;

/// Operands: x `[N, H, W, r²·C]`, base `[N, H, W, C]` or absent. Result: `[N, r·H, r·W, C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelShuffle {
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

pub(super) static SHADER: Shader = shader!("pixel_shuffle", Params, ["x", "base"]);

impl Kernel for PixelShuffle {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required(operands, 0, "x")?.shape;
        let (factor, block) = (self.factor, self.factor * self.factor);
        let &[n, height, width, channels] = x.dims() else {
            return Err(Mismatch::new("x", "[N, H, W, C]", x));
        };
        if block == 0 || channels % block != 0 {
            return Err(Mismatch::new("x", format!("a multiple of {block} channels"), x));
        }
        let channels = channels / block;
        optional_shape(operands, 1, "base", TensorType::real(x.with_channels(channels)))?;
        Ok(TensorType::real([n, factor * height, factor * width, channels]))
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
        vec![Launch::threads(&params, quads).constant("HAS_BASE", present(operands, 1))]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x] = given(operands);
        let base = operands.get(1).copied().flatten();
        let (r, dims) = (self.factor, x.shape.dims());
        let (n, height, width, channels) = (dims[0], dims[1], dims[2], dims[3] / (r * r));
        let mut out = HostTensor::zeros([n, r * height, r * width, channels]);
        for row in 0..out.shape.rows() {
            let (line, column) = (row / (r * width), row % (r * width));
            let source = line / r * width + column / r;
            for (channel, value) in out.row_mut(row).iter_mut().enumerate() {
                let from = (channel * r + line % r) * r + column % r;
                *value = x.row(source)[from] + base.map_or(0.0, |base| base.row(source)[channel]);
            }
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    // (N, H, W, C, r, base)
    let table = [
        (1, 2, 3, 3, 2, true),
        (2, 3, 5, 3, 4, true),
        (1, 4, 3, 5, 3, false),
        (3, 1, 4, 8, 1, true),
        (2, 5, 1, 37, 2, false),
    ];
    let case = |(n, height, width, channels, factor, base)| {
        let of = |channels: usize| TensorType::real([n, height, width, channels]);
        Case::new(PixelShuffle { factor })
            .operand(of(channels * factor * factor))
            .operand_if(base, of(channels))
    };
    table.into_iter().map(case).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channels_of_a_pixel_become_a_block() {
        let data = (0..8).map(f64::from).collect();
        let x = HostTensor { shape: [1, 1, 1, 8].into(), data };
        let out = PixelShuffle { factor: 2 }.reference(&[Some(&x)]);
        assert_eq!(out.shape, [1, 2, 2, 2].into());
        assert_eq!(out.data, [0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]);
        let infer = |factor| PixelShuffle { factor }.infer(&[Some(TensorType::real(x.shape))]);
        assert!(infer(3).is_err() && infer(0).is_err());
    }
}
