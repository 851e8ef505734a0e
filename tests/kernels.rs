//! Every kernel against its f64 reference, on every adapter and storage type.

mod common;

use croquis::doctor::KernelCheck;
use croquis::kernels::Op;
use croquis::shape::Storage;

/// Every case of every kernel with its reference.
fn checks() -> impl Iterator<Item = KernelCheck> {
    (0..).zip(Op::cases()).map(|(seed, case)| KernelCheck::new(case, seed))
}

#[test]
fn every_kernel_agrees_with_its_reference() {
    let mut failures = Vec::new();
    for check in checks() {
        for gpu in common::gpus() {
            let outcome = gpu.block_on(check.run(gpu));
            if !outcome.passed {
                failures.push(format!("{}: {outcome}", common::name(gpu)));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_comparison_detects_a_wrong_answer() {
    for check in checks() {
        let right = &check.expected().data;
        let outcome = check.compare(right, Storage::F32);
        assert!(outcome.passed && outcome.problem.is_none(), "{outcome}");
        let scale = right.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
        let integer = right.iter().any(|value| *value > 1e9);
        let shift = if integer { -2.0 } else { 0.01 * scale };
        let wrong: Vec<_> = right.iter().map(|value| value + shift).collect();
        let outcomes = [
            check.compare(&wrong, Storage::F16),
            check.compare(&vec![f64::NAN; right.len()], Storage::F16),
            check.compare(&right[1..], Storage::F16),
        ];
        for outcome in outcomes {
            assert!(!outcome.passed, "{outcome}");
        }
    }
}
