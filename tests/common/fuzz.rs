//! Seeded damage to files, for fuzz tests.

use std::time::{Duration, Instant};

use croquis::internal::weights::{View, WeightFormat, WeightLayout, Weights};

/// A seeded random number generator (Marsaglia's xorshift64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.next() as u16) as f32 / 8192.0 - 4.0).collect()
    }
}

/// Calls `round` `count` times, or for as many seconds as `CROQUIS_FUZZ_SECONDS` says.
pub fn rounds(count: usize, mut round: impl FnMut()) {
    match std::env::var("CROQUIS_FUZZ_SECONDS") {
        Ok(seconds) => {
            let seconds = seconds.parse().expect("CROQUIS_FUZZ_SECONDS is a number of seconds");
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(seconds) {
                round();
            }
        }
        Err(_) => (0..count).for_each(|_| round()),
    }
}

/// A copy of `good` with one to three changes in its first `header` bytes.
pub fn mutated(good: &[u8], header: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..1 + random.below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(header.min(bytes.len()));
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = b"0123456789[]{},:\"-eE\\\0\xff"[random.below(23)],
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, random.next() as u8),
            4 => bytes.truncate(1 + random.below(bytes.len())),
            // Numbers near the limits of their types, where sums and products overflow.
            5 if at + 8 <= bytes.len() => {
                let number = [u64::MAX, 1 << 63, 1 << 32, 0][random.below(4)];
                let number = number.wrapping_sub(random.below(64) as u64) >> random.below(64);
                bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
            }
            6 => bytes[at] = random.below(16) as u8,
            _ => bytes[random.below(8).min(at)] = random.next() as u8,
        }
    }
    bytes
}

/// Reads all tensors in all ways, some of them as slices and transposed.
pub fn read_all(weights: Weights, random: &mut Random) {
    for name in weights.names() {
        for layout in WeightLayout::ALL {
            let _ = weights.pack(
                name,
                layout,
                WeightFormat::ALL[random.below(WeightFormat::ALL.len())],
            );
        }
        let _ = weights.read_f32(name);
        let _ = weights.scalar(name);
        assert!(weights.shape(name).is_some() && weights.dtype(name).is_some());
    }
    let view = match random.below(3) {
        0 => View::Transposed,
        1 => View::Rows(0..random.below(4)),
        _ => View::Rows(1..2),
    };
    if let Ok(weights) = weights.map_names(|name, _| vec![(name.into(), view.clone())]) {
        for name in weights.names() {
            let _ = weights.read_f32(name);
        }
    }
}
