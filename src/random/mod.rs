//! Seeded Gaussian noise, equal to PyTorch's: a seed gives the same initial latents as in diffusers
//! or AUTOMATIC1111.
//!
//! A [`Generator`] reproduces one of two others, chosen by a [`RandomKind`]:
//!
//! - `Torch`: `torch.randn` with a generator on the CPU, in float32, which diffusers' users take for
//!   reproducible pictures. Measured against PyTorch 2.15 on x86 with AVX2: equal bits in draws of
//!   16 values and more (20 million values). Without AVX2 PyTorch calls the C library instead, and
//!   its own values lie up to 2·10⁻⁶ from these (100 000 values). Smaller draws are computed in f64
//!   and rounded. Of the seed, PyTorch uses the low 32 bits.
//! - `Philox`: AUTOMATIC1111's `rng_philox.py`, which imitates `torch.randn` on CUDA. It computes
//!   in f64 and rounds to f32 in the end, and so does this: equal bits in 390 000 values, up to the
//!   last bit of the platform's f64 logarithm and sine. The values in its documentation, of f32
//!   arithmetic as on a GPU, lie up to 3·10⁻⁷ from these. All 64 bits of the seed count.
//!
//! ```
//! use croquis::internal::random::{Generator, RandomKind};
//!
//! let latents = Generator::new(0).normal(4 * 64 * 64);
//! assert!((latents[0] + 1.1258).abs() < 1e-4); // torch on the CPU: -1.1258
//! let latents = Generator::with_kind(RandomKind::Philox, 0).normal(4 * 64 * 64);
//! assert!((latents[0] + 0.9247).abs() < 1e-4); // torch on CUDA: -0.9247
//! ```

mod kind;
mod mt19937;
mod normal;
mod philox;
mod torch;

pub use kind::RandomKind;

use torch::Torch;

/// A generator of standard normal values, seeded; its state advances with every draw.
#[derive(Clone, Debug)]
pub struct Generator(State);

#[derive(Clone, Debug)]
enum State {
    Torch(Box<Torch>),
    /// `draws` counts the calls to [`Generator::normal`]; it is the first word of Philox' counter.
    Philox {
        seed: u64,
        draws: u32,
    },
}

impl Generator {
    /// PyTorch's CPU generator with a seed.
    pub fn new(seed: u64) -> Self {
        Generator::with_kind(RandomKind::Torch, seed)
    }

    /// The generator `kind` with a seed.
    pub fn with_kind(kind: RandomKind, seed: u64) -> Self {
        Generator(match kind {
            RandomKind::Torch => State::Torch(Box::new(Torch::new(seed))),
            RandomKind::Philox => State::Philox { seed, draws: 0 },
        })
    }

    /// Draws `n` standard normal values: a tensor in row-major order.
    ///
    /// Two draws of `n` values differ from one of `2·n`: both generators draw per tensor.
    pub fn normal(&mut self, n: usize) -> Vec<f32> {
        match &mut self.0 {
            State::Torch(torch) => torch.normal(n),
            State::Philox { seed, draws } => {
                let draw = *draws;
                *draws = draws.wrapping_add(1);
                (0..n as u64).map(|index| philox::normal(*seed, draw, index)).collect()
            }
        }
    }
}
