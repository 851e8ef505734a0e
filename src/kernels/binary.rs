//! Elementwise sum or product of two tensors, the second broadcast over rows:
//!
//! `out[n, …, c] = a[n, …, c] ∘ b[n, …, c]`, with `b[c]` or `b[n, c]` where b has fewer rows; ∘ is
//! + or ·.

use super::shader::{params, shader};
use super::{
    Case, HostTensor, Kernel, Launch, Lcg, Mismatch, Operands, Shader, Target, given, required,
};
use crate::shape::{Shape, TensorType};

/// A function of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// a + b.
    Add,
    /// a · b.
    Mul,
}

/// Operands: a `[…, C]`; b shaped as a, or `[C]` or `[1, C]` for all rows, or `[B, C]` or
/// `[B, 1, 1, C]` with a row for every batch item. Result: a's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The function.
    pub function: Arithmetic,
}

params! {
    struct Params {
        quads: u32,
        channel_quads: u32,
        rows_per_b: u32,
    }
}

pub(super) static SHADER: Shader = shader!("binary", Params, ["a", "b"]);

/// Whether b can be broadcast to a: it has a's shape, one row, or one row for each batch item.
fn fits(a: Shape, b: Shape) -> bool {
    let row_per_item = b.rows() == a.batch() && b.batch() == a.batch() && a.rank() > 1;
    a == b || (a.channels() == b.channels() && (b.rows() == 1 || row_per_item))
}

impl Kernel for Binary {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let a = required(operands, 0, "a")?.shape;
        let b = required(operands, 1, "b")?.shape;
        if !fits(a, b) {
            let (batch, channels) = (a.batch(), a.channels());
            let expected = format!("{a}, [{channels}] or [{batch}, {channels}]");
            return Err(Mismatch::new("b", expected, b));
        }
        Ok(TensorType::real(a))
    }

    fn variants(&self, operands: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let [_, b] = given(operands);
        let quads = output.shape.padded_len() / 4;
        let params = Params {
            quads: quads as u32,
            channel_quads: output.shape.quads() as u32,
            rows_per_b: (output.shape.rows() / b.shape.rows()) as u32,
        };
        let launch = Launch::threads(&params, quads)
            .constant("MULTIPLY", self.function == Arithmetic::Mul)
            .flops(output.shape.len() as u64);
        vec![launch]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [a, b] = given(operands);
        let mut out = a.clone();
        let rows = a.shape.rows();
        for row in 0..rows {
            let b_row = b.row(row * b.shape.rows() / rows);
            for (value, b) in out.row_mut(row).iter_mut().zip(b_row) {
                match self.function {
                    Arithmetic::Add => *value += b,
                    Arithmetic::Mul => *value *= b,
                }
            }
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    // (a, b)
    let table: [(&[usize], &[usize]); 8] = [
        (&[2, 3, 5, 7], &[2, 3, 5, 7]),
        (&[3, 11, 37], &[3, 11, 37]),
        (&[5], &[5]),
        (&[2, 9, 5], &[5]),
        (&[3, 4, 7, 37], &[1, 37]),
        (&[3, 5, 8], &[3, 8]),
        (&[2, 3, 5, 7], &[2, 7]),
        (&[3, 4, 5, 12], &[3, 1, 1, 12]),
    ];
    let mut random = Lcg::new(10);
    let drawn = (0..4).map(|_| {
        let a @ [batch, _, _, channels] = random.sizes([3, 12, 12, 90]);
        let b: Shape = random.pick(&[a.into(), [channels].into(), [batch, channels].into()]);
        (Shape::from(a), b)
    });
    let shapes = table.into_iter().map(|(a, b)| (Shape::new(a), Shape::new(b)));
    let functions = [Arithmetic::Add, Arithmetic::Mul];
    let pairs = shapes.chain(drawn).flat_map(|pair| functions.map(|function| (function, pair)));
    pairs
        .map(|(function, (a, b))| {
            Case::new(Binary { function }).operand(TensorType::real(a)).operand(TensorType::real(b))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_rows_of_all_or_of_each_item_broadcast() {
        let infer = |a: &[usize], b: &[usize]| {
            let operands = [a, b].map(|dims| Some(TensorType::real(Shape::new(dims))));
            Binary { function: Arithmetic::Add }.infer(&operands)
        };
        assert!(infer(&[2, 3, 4, 8], &[1, 1, 1, 8]).is_ok());
        for b in [&[4][..], &[3, 8], &[1, 2, 8], &[2, 3, 8], &[3, 1, 1, 8], &[2, 3, 4, 4]] {
            assert!(infer(&[2, 3, 4, 8], b).is_err(), "{b:?}");
        }
        let message = infer(&[2, 6, 8], &[3, 8]).expect_err("two batch items, three rows").0;
        assert_eq!(message, "b: expected [2, 6, 8], [8] or [2, 8], got [3, 8]");
    }
}
