//! An image as opaque RGBA8 pixels, red in the low byte of a little-endian word:
//!
//! byte = round(clamp(x/2 + ½, 0, 1)·255), halves to even

use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given, required,
};
use crate::shape::TensorType;

/// Operand: image `[B, H, W, C]` in [-1, 1], the first three channels red, green and blue. Result:
/// U32 `[B, H·W]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels;

params! {
    struct Params {
        elements: u32,
        pitch: u32,
        pixels: u32,
        image_quads: u32,
    }
}

pub(super) static SHADER: Shader = shader!("pixels", Params, ["image"]);

impl Kernel for Pixels {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let image = required(operands, 0, "image")?;
        let &[batch, height, width, (3..)] = image.shape.dims() else {
            return Err(Mismatch::new("image", "[B, H, W, 3 or more]", image.shape));
        };
        Ok(TensorType::u32([batch, height * width]))
    }

    fn variants(&self, operands: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let [image] = given(operands);
        let elements = output.shape.padded_len();
        let params = Params {
            elements: elements as u32,
            pitch: (output.shape.quads() * 4) as u32,
            pixels: output.shape.channels() as u32,
            image_quads: image.shape.quads() as u32,
        };
        vec![Launch::threads(&params, elements).flops(9 * output.shape.len() as u64)]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [image] = given(operands);
        let byte = |x: f64| ((0.5 * x + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u32;
        let rgba = |row: usize| {
            let x = image.row(row);
            f64::from(u32::from_le_bytes(
                [byte(x[0]), byte(x[1]), byte(x[2]), 255].map(|b| b as u8),
            ))
        };
        let rows = image.shape.rows();
        let batch = image.shape.batch();
        HostTensor { shape: [batch, rows / batch].into(), data: (0..rows).map(rgba).collect() }
    }
}

/// A 16-bit float gives no rounding tie except at ±2·k, where all arithmetic is exact.
pub(super) fn cases() -> Vec<Case> {
    [[1, 4, 4, 3], [2, 3, 3, 3], [3, 5, 7, 4], [2, 1, 5, 7]]
        .into_iter()
        .map(|shape| Case::new(Pixels).filled(TensorType::real(shape), Fill::Uniform(1.25)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_known_values() {
        let image = |rgb: [f64; 3]| HostTensor { shape: [1, 1, 1, 3].into(), data: rgb.to_vec() };
        let table = [
            ([-1.0, 0.0, 1.0], 0xff_ff_80_00_u32), // 127.5 rounds to 128
            ([-3.0, 3.0, -1.0], 0xff_00_ff_00),
            ([1.0 / 255.0, -1.0 / 255.0, 0.5], 0xff_bf_7f_80),
        ];
        for (rgb, expected) in table {
            let got = Pixels.reference(&[Some(&image(rgb))]).data[0];
            assert_eq!(got, f64::from(expected), "{rgb:?}");
        }
    }
}
