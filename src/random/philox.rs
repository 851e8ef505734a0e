//! Philox 4×32-10, a counter-based generator: 128 random bits as a function of a counter and a key.
//!
//! Salmon, Moraes, Dror & Shaw, *Parallel random numbers: as easy as 1, 2, 3*, SC 2011. A round
//! multiplies two of the counter's words by constants and mixes both halves of the products with
//! the other words and with the key; the key advances by a Weyl sequence.

const ROUNDS: usize = 10;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// The four random words for a counter and a key.
pub(super) fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let [high0, low0] = halves(counter[0], MULTIPLIERS[0]);
        let [high1, low1] = halves(counter[2], MULTIPLIERS[1]);
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// The normal value √(−2·ln u)·sin v number `index` of draw number `draw`: the first of a
/// Box–Muller pair from the first two words; the other words are unused, as in CUDA's generator.
///
/// Computed in f64 from u = (x + ½)·2⁻³² and v = (y + ½)·2π·2⁻³², the constant of v rounded to f32.
pub(super) fn normal(seed: u64, draw: u32, index: u64) -> f32 {
    const TURN: f32 = 1.462_918_1e-9;
    let [low, high] = [index as u32, (index >> 32) as u32];
    let [x, y, ..] = philox([draw, 0, low, high], [seed as u32, (seed >> 32) as u32]);
    let u = (f64::from(x) + 0.5) / (1u64 << 32) as f64;
    let v = f64::from(y) * f64::from(TURN) + f64::from(TURN / 2.0);
    ((-2.0 * u.ln()).sqrt() * v.sin()) as f32
}

/// The high and the low word of a product.
fn halves(a: u32, b: u32) -> [u32; 2] {
    let product = u64::from(a) * u64::from(b);
    [(product >> 32) as u32, product as u32]
}

#[cfg(test)]
mod tests {
    use super::philox;

    /// The known answers that Random123 publishes (`tests/kat_vectors`, philox4x32 with 10 rounds).
    #[test]
    fn known_answers() {
        let ones = u32::MAX;
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([ones; 4], [ones; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, answer) in cases {
            assert_eq!(philox(counter, key), answer);
        }
    }
}
