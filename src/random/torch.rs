//! PyTorch's CPU generator: `torch.Generator("cpu").manual_seed(seed)`, which uses the low 32 bits
//! of the seed, and `torch.randn(n, generator=generator)` in float32.

use std::f64::consts::TAU;

use super::mt19937::Mt19937;
use super::normal;

/// Number of values that PyTorch transforms together.
const BLOCK: usize = 16;

/// The Mersenne Twister and the unused value of its last pair of normal values.
#[derive(Clone, Debug)]
pub(super) struct Torch {
    engine: Mt19937,
    /// The second value of the last pair that [`Torch::next_pair`] drew.
    spare: Option<f64>,
}

impl Torch {
    pub(super) fn new(seed: u64) -> Self {
        Torch { engine: Mt19937::new(seed as u32), spare: None }
    }

    /// Draws `n` standard normal values.
    pub(super) fn normal(&mut self, n: usize) -> Vec<f32> {
        if n < BLOCK {
            return (0..n).map(|_| self.next_normal() as f32).collect();
        }
        let mut values: Vec<f32> = (0..n).map(|_| self.uniform()).collect();
        values.chunks_exact_mut(BLOCK).for_each(transform);
        if !n.is_multiple_of(BLOCK) {
            // The last block overlaps the one before it, and is drawn anew.
            let tail = &mut values[n - BLOCK..];
            tail.fill_with(|| self.uniform());
            transform(tail);
        }
        values
    }

    /// A uniform value in [0, 1) from 24 random bits.
    fn uniform(&mut self) -> f32 {
        const BITS: u32 = 24;
        (self.engine.next_u32() & ((1 << BITS) - 1)) as f32 / (1u32 << BITS) as f32
    }

    /// A uniform value in [0, 1) from 53 random bits.
    fn uniform_f64(&mut self) -> f64 {
        const BITS: u64 = 53;
        (self.engine.next_u64() & ((1 << BITS) - 1)) as f64 / (1u64 << BITS) as f64
    }

    /// A normal value in double precision; every second call returns the spare value of a pair.
    fn next_normal(&mut self) -> f64 {
        if let Some(value) = self.spare.take() {
            return value;
        }
        let [cosine, sine] = self.next_pair();
        self.spare = Some(sine);
        cosine
    }

    /// Two normal values by Box–Muller, √(−2·ln(1 − u₂))·(cos 2π·u₁, sin 2π·u₁).
    fn next_pair(&mut self) -> [f64; 2] {
        let (u1, u2) = (self.uniform_f64(), self.uniform_f64());
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let (sine, cosine) = (TAU * u1).sin_cos();
        [radius * cosine, radius * sine]
    }
}

/// Transforms 16 uniform values into normal ones: value j is paired with value j + 8.
fn transform(block: &mut [f32]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (a, b) in first.iter_mut().zip(second) {
        [*a, *b] = normal::box_muller(1.0 - *a, *b);
    }
}
