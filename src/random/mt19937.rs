//! MT19937, the 32-bit Mersenne Twister.
//!
//! Matsumoto & Nishimura, *Mersenne Twister: a 623-dimensionally equidistributed uniform
//! pseudo-random number generator*, ACM TOMACS 8(1), 1998; the seeding is the authors' of 2002.

const N: usize = 624;
const M: usize = 397;

/// The generator's state: 624 words, and the number of words already handed out.
#[derive(Clone, Debug)]
pub(super) struct Mt19937 {
    state: [u32; N],
    used: usize,
}

impl Mt19937 {
    /// Seeds the state with sₖ = 1812433253·(sₖ₋₁ ⊕ sₖ₋₁≫30) + k.
    pub(super) fn new(seed: u32) -> Self {
        let mut state = [seed; N];
        for k in 1..N {
            let last = state[k - 1];
            state[k] = 1_812_433_253u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(k as u32);
        }
        Mt19937 { state, used: N }
    }

    /// The next 32 bits.
    pub(super) fn next_u32(&mut self) -> u32 {
        if self.used == N {
            self.twist();
        }
        let mut y = self.state[self.used];
        self.used += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// The next 64 bits, the high word first.
    pub(super) fn next_u64(&mut self) -> u64 {
        let high = u64::from(self.next_u32());
        high << 32 | u64::from(self.next_u32())
    }

    /// The recurrence xₖ₊ₙ = xₖ₊ₘ ⊕ (xₖ upper bit | xₖ₊₁ lower bits)·A, for all words at once.
    fn twist(&mut self) {
        for k in 0..N {
            let y = (self.state[k] & 0x8000_0000) | (self.state[(k + 1) % N] & 0x7fff_ffff);
            let a = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[k] = self.state[(k + M) % N] ^ (y >> 1) ^ a;
        }
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Mt19937;

    #[test]
    fn known_values() {
        // The 10 000th output for the default seed, fixed by the C++ standard ([rand.predef]).
        let mut engine = Mt19937::new(5489);
        let last = (0..10_000).map(|_| engine.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}
