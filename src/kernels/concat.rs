//! Concatenation of two tensors along the channels, such as a UNet's skip connections:
//!
//! `out[…, c] = a[…, c]` for c < Ca, else `b[…, c − Ca]`

use super::shader::{params, shader};
use super::{
    Case, HostTensor, Kernel, Launch, Lcg, Mismatch, Operands, Shader, Target, given, required,
};
use crate::shape::{Shape, TensorType};

/// Operands: a `[…, Ca]`, Ca a multiple of 4; b `[…, Cb]`, the other dimensions as in a. Result:
/// `[…, Ca + Cb]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Concat;

params! {
    struct Params {
        quads: u32,
        a_quads: u32,
        b_quads: u32,
    }
}

pub(super) static SHADER: Shader = shader!("concat", Params, ["a", "b"]);

impl Kernel for Concat {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let a = required(operands, 0, "a")?.shape;
        let b = required(operands, 1, "b")?.shape;
        if !a.channels().is_multiple_of(4) {
            return Err(Mismatch::new("a", "a multiple of 4 channels", a));
        }
        if b.with_channels(1) != a.with_channels(1) {
            let expected = format!("{a} but for the channels");
            return Err(Mismatch::new("b", expected, b));
        }
        Ok(TensorType::real(a.with_channels(a.channels() + b.channels())))
    }

    fn variants(&self, operands: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let [a, b] = given(operands);
        let quads = output.shape.padded_len() / 4;
        let params = Params {
            quads: quads as u32,
            a_quads: a.shape.quads() as u32,
            b_quads: b.shape.quads() as u32,
        };
        vec![Launch::threads(&params, quads)]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [a, b] = given(operands);
        let channels = a.shape.channels() + b.shape.channels();
        let mut out = HostTensor::zeros(a.shape.with_channels(channels));
        for row in 0..a.shape.rows() {
            let (left, right) = out.row_mut(row).split_at_mut(a.shape.channels());
            left.copy_from_slice(a.row(row));
            right.copy_from_slice(b.row(row));
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    // (dimensions before the channels, Ca, Cb)
    let table: [(&[usize], usize, usize); 5] = [
        (&[2, 3, 5], 8, 7),
        (&[3, 7, 2], 12, 37),
        (&[1, 4, 4], 4, 5),
        (&[3, 11], 36, 4),
        (&[], 4, 3),
    ];
    let case = |dims: &[usize], a: usize, b: usize| {
        let shape = |channels: usize| Shape::new(&[dims, &[channels]].concat());
        Case::new(Concat).operand(TensorType::real(shape(a))).operand(TensorType::real(shape(b)))
    };
    let mut random = Lcg::new(9);
    let drawn = (0..4).map(|_| {
        let [n, h, w, a_quads, b] = random.sizes([3, 12, 12, 12, 50]);
        case(&[n, h, w], 4 * a_quads, b)
    });
    table.into_iter().map(|(dims, a, b)| case(dims, a, b)).chain(drawn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ends_at_a_quad_and_rows_agree() {
        let infer = |a: &[usize], b: &[usize]| {
            Concat.infer(&[a, b].map(|dims| Some(TensorType::real(Shape::new(dims)))))
        };
        assert_eq!(infer(&[2, 3, 8], &[2, 3, 5]), Ok(TensorType::real([2, 3, 13])));
        assert!(infer(&[2, 3, 5], &[2, 3, 8]).is_err());
        assert!(infer(&[2, 3, 8], &[3, 2, 8]).is_err());
        assert!(infer(&[2, 3, 8], &[6, 8]).is_err());
    }
}
