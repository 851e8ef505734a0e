//! The random numbers against PyTorch: every draw in `golden/random.json`.
//!
//! `TOLERANCE` is for the platform's f64 sine, cosine and logarithm (draws of fewer than 16
//! values); longer draws use no library function and have to be equal.

use croquis::random::Generator;
use serde::Deserialize;

const TOLERANCE: f32 = 1e-6;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    seed: String,
    draws: Vec<Draw>,
}

/// `n` values, of which the file has the first and the last eight.
#[derive(Deserialize)]
struct Draw {
    n: usize,
    first: Vec<f32>,
    last: Vec<f32>,
}

/// The draws of a case that differ, after each value was changed by `tamper`.
fn differences(case: &Case, tamper: fn(f32) -> f32) -> Vec<String> {
    let mut generator = Generator::new(case.seed.parse().unwrap());
    let mut failures = Vec::new();
    for (i, draw) in case.draws.iter().enumerate() {
        let all: Vec<f32> = generator.normal(draw.n).into_iter().map(tamper).collect();
        let tolerance = if draw.n < 16 { TOLERANCE } else { 0.0 };
        let shown = draw.n.min(8);
        for (got, want) in [(&all[..shown], &draw.first), (&all[draw.n - shown..], &draw.last)] {
            let near = |(got, want): (&f32, &f32)| (got - want).abs() <= tolerance;
            if all.len() != draw.n || got.len() != want.len() || !got.iter().zip(want).all(near) {
                let Case { seed, .. } = case;
                let n = draw.n;
                failures.push(format!(
                    "seed {seed}, draw {i} of {n} values:\n  got  {got:?}\n  want {want:?}"
                ));
            }
        }
    }
    failures
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/random.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn equal_to_torch() {
    let cases = golden().cases;
    let failures: Vec<String> =
        cases.iter().flat_map(|case| differences(case, |value| value)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_wrong_value_is_detected() {
    for case in &golden().cases {
        let failures = differences(case, |value| value + 2e-6);
        assert_eq!(failures.len(), 2 * case.draws.iter().filter(|draw| draw.n > 0).count());
    }
}
