//! Low-rank changes of weights (Hu et al., LoRA, 2021): W + scale·up·down.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// A change of a weight `[O, I, kh, kw]` (or fewer dimensions) as a product of two thin matrices,
/// scale·up·down with up `[O, r]` and down `[r, I·kh·kw]`. Cloning it copies no numbers.
#[derive(Clone, Debug)]
pub struct LowRank {
    up: Arc<[f32]>,
    down: Arc<[f32]>,
    rank: usize,
    scale: f32,
}

impl LowRank {
    /// The product of two row-major matrices.
    ///
    /// # Errors
    /// `Weights` if the lengths are no multiples of the rank, one of them is 0, or a number is not
    /// finite.
    pub fn new(
        up: impl Into<Arc<[f32]>>,
        down: impl Into<Arc<[f32]>>,
        rank: usize,
        scale: f32,
    ) -> Result<Self> {
        let (up, down) = (up.into(), down.into());
        let bad = |message: String| Err(Error::new(ErrorKind::Weights, message));
        for (which, matrix) in [("up", &up), ("down", &down)] {
            if rank == 0 || matrix.is_empty() || !matrix.len().is_multiple_of(rank) {
                let got = matrix.len();
                return bad(format!(
                    "expected {which} as a matrix of rank {rank}, got {got} values"
                ));
            }
            if let Some(value) = matrix.iter().find(|value| !value.is_finite()) {
                return bad(format!("expected finite values in {which}, got {value}"));
            }
        }
        if !scale.is_finite() {
            return bad(format!("expected a finite scale, got {scale}"));
        }
        Ok(LowRank { up, down, rank, scale })
    }

    /// Rows O and columns I·kh·kw of the product.
    pub fn shape(&self) -> [usize; 2] {
        [self.up.len() / self.rank, self.down.len() / self.rank]
    }

    /// The rank r.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The factor of the product.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// Adds `scale` times the elements of the product from `start` on, in row-major order. Each is
    /// summed over the rank in f32, in the same order whatever the run.
    pub(super) fn add_to(&self, start: usize, scale: f32, out: &mut [f32]) {
        let scale = self.scale * scale;
        let [_, columns] = self.shape();
        let mut sums = [0.0; 256];
        let (mut at, mut rest) = (start, out);
        while !rest.is_empty() {
            let (row, column) = (at / columns, at % columns);
            let len = rest.len().min(columns - column).min(sums.len());
            let (now, later) = rest.split_at_mut(len);
            let sums = &mut sums[..len];
            sums.fill(0.0);
            let Some(up) = self.up.get(row * self.rank..(row + 1) * self.rank) else { return };
            for (&up, down) in up.iter().zip(self.down.chunks_exact(columns)) {
                let down = &down[column..][..len];
                sums.iter_mut().zip(down).for_each(|(sum, down)| *sum += up * down);
            }
            now.iter_mut().zip(sums).for_each(|(out, sum)| *out += scale * *sum);
            (at, rest) = (at + len, later);
        }
    }
}
