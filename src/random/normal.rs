//! The Box–Muller transform in single precision, bit-identical to PyTorch's.
//!
//! ```text
//! z₀ = √(−2·ln u₁)·cos(2π·u₂)      z₁ = √(−2·ln u₁)·sin(2π·u₂)
//! ```
//!
//! Box & Muller, *A note on the generation of random normal deviates*, 1958. PyTorch computes the
//! logarithm, sine and cosine with the single-precision polynomials of S. Moshier's Cephes library,
//! in AVX2 code that its compiler fuses into multiply-adds. Bit-identical values need the same
//! polynomials and the same fusing, so this file does not call the standard library's functions.

use std::f32::consts::{FRAC_1_SQRT_2, PI, TAU};

/// Transforms two uniform values, `u1` in (0, 1] and `u2` in [0, 1), into two independent normal
/// ones.
pub(super) fn box_muller(u1: f32, u2: f32) -> [f32; 2] {
    let radius = (-2.0 * ln(u1)).sqrt();
    let (sine, cosine) = sin_cos(TAU * u2);
    // PyTorch adds the mean, 0, which turns −0 into 0.
    [radius * cosine + 0.0, radius * sine + 0.0]
}

/// Evaluates the polynomial Σ cₖ·xᵏ, highest power first, by Horner's rule.
fn horner(coefficients: &[f32], x: f32) -> f32 {
    coefficients.iter().fold(0.0, |sum, &c| sum.mul_add(x, c))
}

/// ln x for a normal x > 0: with x = m·2ᵉ, √½ ≤ m < √2 and r = m − 1,
/// ln x = r − r²/2 + r³·P(r) + e·ln 2, the last constant in two parts.
fn ln(x: f32) -> f32 {
    const P: [f32; 9] = [
        0.070_376_836,
        -0.115_146_1,
        0.116_769_984,
        -0.124_201_41,
        0.142_493_23,
        -0.166_680_57,
        0.200_007_14,
        -0.249_999_94,
        0.333_333_3,
    ];
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;

    let mut exponent = ((x.to_bits() >> 23) as i32 - 126) as f32;
    let mut r = f32::from_bits(x.to_bits() & 0x007f_ffff | 0x3f00_0000);
    if r < FRAC_1_SQRT_2 {
        exponent -= 1.0;
        r = r - 1.0 + r;
    } else {
        r -= 1.0;
    }
    let square = r * r;
    let y = horner(&P, r) * r;
    let y = y.mul_add(square, exponent * LN2_LOW) - 0.5 * square;
    r + y + exponent * LN2_HIGH
}

/// (sin x, cos x) for x ≥ 0: with j the even octant next to 4x/π, both are polynomials of
/// x − j·π/4, the constant in three parts.
fn sin_cos(x: f32) -> (f32, f32) {
    const SINE: [f32; 3] = [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1];
    const COSINE: [f32; 3] = [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2];
    const QUARTER_PI: [f32; 3] = [0.785_156_25, 2.418_756_5e-4, 3.774_895e-8];

    let octant = ((x * (4.0 / PI)) as u32 + 1) & !1;
    let x = QUARTER_PI.iter().fold(x, |x, part| (octant as f32).mul_add(-part, x));
    let square = x * x;
    let cosine = (horner(&COSINE, square) * square).mul_add(square, -0.5 * square) + 1.0;
    let sine = (horner(&SINE, square) * square).mul_add(x, x);
    let (sine, cosine) = if octant & 2 == 0 { (sine, cosine) } else { (cosine, sine) };
    let sine = if octant & 4 == 0 { sine } else { -sine };
    let cosine = if (octant + 2) & 4 == 0 { cosine } else { -cosine };
    (sine, cosine)
}
