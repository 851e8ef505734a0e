//! Random numbers against PyTorch and against Philox as defined: every draw in
//! `golden/random.json`.
//!
//! `TOLERANCE` allows for the platform's f64 sine, cosine and logarithm (PyTorch's draws of fewer
//! than 16 values, and all of Philox'). Longer draws of PyTorch use no library function and must be
//! equal. Whole latents are compared by their sums too, exactly where the values are equal: f64
//! sums of f32 values of this size round below `SUM_TOLERANCE`.

use croquis::internal::random::{Generator, RandomKind};
use serde::Deserialize;

const TOLERANCE: f32 = 1e-6;
const SUM_TOLERANCE: f64 = 1e-9;
const PUBLISHED_TOLERANCE: f32 = 5e-7;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    kind: String,
    seed: String,
    draws: Vec<Draw>,
}

/// A draw of `n` values, of which the file has the first and last eight and the sum.
#[derive(Deserialize)]
struct Draw {
    n: usize,
    first: Vec<f32>,
    last: Vec<f32>,
    sum: f64,
}

/// The draws of a case that differ, after `tamper` changed each value.
fn differences(case: &Case, tamper: fn(f32) -> f32) -> Vec<String> {
    let kind: RandomKind = case.kind.parse().unwrap();
    let mut generator = Generator::with_kind(kind, case.seed.parse().unwrap());
    let mut failures = Vec::new();
    for (i, draw) in case.draws.iter().enumerate() {
        let all: Vec<f32> = generator.normal(draw.n).into_iter().map(tamper).collect();
        let exact = kind == RandomKind::Torch && draw.n >= 16;
        let tolerance = if exact { 0.0 } else { TOLERANCE };
        let shown = draw.n.min(8);
        for (got, want) in [(&all[..shown], &draw.first), (&all[draw.n - shown..], &draw.last)] {
            let near = |(got, want): (&f32, &f32)| (got - want).abs() <= tolerance;
            if all.len() != draw.n || got.len() != want.len() || !got.iter().zip(want).all(near) {
                let Case { seed, .. } = case;
                let n = draw.n;
                failures.push(format!(
                    "{kind}, seed {seed}, draw {i} of {n} values:\n  got  {got:?}\n  want {want:?}"
                ));
            }
        }
        let sum: f64 = all.iter().map(|&value| f64::from(value)).sum();
        let tolerance = SUM_TOLERANCE + draw.n as f64 * f64::from(tolerance);
        if (sum - draw.sum).abs() > tolerance {
            let Case { seed, .. } = case;
            failures.push(format!("{kind}, seed {seed}, draw {i}: sum {sum}, want {}", draw.sum));
        }
    }
    failures
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/random.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn equal_to_the_reference() {
    let cases = golden().cases;
    let failures: Vec<String> =
        cases.iter().flat_map(|case| differences(case, |value| value)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for kind in RandomKind::ALL {
        assert!(cases.iter().any(|case| case.kind == kind.name()), "no case for {kind}");
    }
}

#[test]
fn a_wrong_value_is_detected() {
    for case in &golden().cases {
        let failures = differences(case, |value| value + 2e-6);
        assert_eq!(failures.len(), 3 * case.draws.iter().filter(|draw| draw.n > 0).count());
    }
}

/// The example in the documentation of AUTOMATIC1111's `rng_philox.py`: seed 0, shape 3×4. The
/// values that the file computes, and this crate equally, differ from it by up to 3·10⁻⁷.
#[test]
fn philox_gives_the_published_values() {
    let published = [
        -0.924_662_6,
        -0.425_344_15,
        -2.643_845_7,
        0.145_183_88,
        -0.120_866_47,
        -0.579_725_6,
        -0.622_851_2,
        -0.328_387_1,
        -1.074_542_3,
        -0.363_144_07,
        -1.671_050_7,
        2.265_505,
    ];
    let values = Generator::with_kind(RandomKind::Philox, 0).normal(published.len());
    let near = |shift: f32| {
        values.iter().zip(&published).all(|(a, b)| (a + shift - b).abs() < PUBLISHED_TOLERANCE)
    };
    assert!(near(0.0), "{values:?}");
    assert!(!near(1e-6));
}

#[test]
fn names_are_read() {
    for kind in RandomKind::ALL {
        assert_eq!(kind.name().parse::<RandomKind>().unwrap(), kind);
    }
    let error = "cuda".parse::<RandomKind>().unwrap_err();
    assert!(error.to_string().contains("torch, philox, got \"cuda\""), "{error}");
}
