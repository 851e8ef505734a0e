//! Every kernel against its f64 reference, on every adapter and storage type.

mod common;

use croquis::doctor::KernelCheck;
use croquis::kernels::{Case, DeviceClass, Op, Shader, activation};
use croquis::shape::{Storage, TensorType};
use std::collections::HashSet;

/// All cases of all kernels, with their f64 references.
fn checks() -> impl Iterator<Item = KernelCheck> {
    (0..).zip(Op::cases()).map(|(seed, case)| KernelCheck::new(case, seed))
}

/// Device classes with different kernel variants.
const CLASSES: [DeviceClass; 4] =
    [DeviceClass::Software, DeviceClass::Portable, DeviceClass::Adreno, DeviceClass::Intel];

#[test]
fn every_kernel_agrees_with_its_reference() {
    let mut failures = Vec::new();
    let mut runs = 0;
    for check in checks() {
        for gpu in common::gpus() {
            let mut seen = HashSet::new();
            for gpu in CLASSES.map(|class| gpu.with_class(class)) {
                if !seen.insert(check.module(gpu.target()).expect("the case fits")) {
                    continue; // the same kernel as another class's
                }
                runs += 1;
                let outcome = gpu.block_on(check.run(&gpu));
                if !outcome.passed {
                    let class = gpu.target().class;
                    failures.push(format!("{} as {class:?}: {outcome}", common::name(&gpu)));
                }
            }
        }
    }
    println!("{runs} runs of kernels");
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

/// Kernels that are correct except in the last three lanes of rows of five channels.
const LEAKS: [(&str, &str); 2] = [
    (
        "writes ones",
        "var v = activate(widen(x[i])); if i % 2u == 1u { v = vec4(v.x, vec3(1.0)); } out[i] = narrow(v);",
    ),
    (
        "leaves them",
        "let v = narrow(activate(widen(x[i]))); if i % 2u == 1u { out[i].x = v.x; } else { out[i] = v; }",
    ),
];

#[test]
fn padding_that_is_not_zero_is_detected() {
    let op = activation::Activation { function: activation::Function::Silu };
    let check = KernelCheck::new(Case::new(op).operand(TensorType::real([3, 5])), 0);
    let right = "out[i] = narrow(activate(widen(x[i])));";
    for gpu in common::gpus() {
        // One component of a packed quad is two lanes: it cannot leave three of them unwritten.
        let leaks = if gpu.target().storage == Storage::Packed { &LEAKS[..1] } else { &LEAKS };
        for (what, wrong) in leaks {
            let mut plan = check.plan(gpu.target()).expect("the case fits");
            let dispatch = plan.dispatches_mut().next().expect("a dispatch");
            let shader = dispatch.shader;
            let source = shader.source.replace(right, wrong);
            assert_ne!(source, shader.source, "the edit changes nothing");
            let source = Box::leak(source.into_boxed_str());
            dispatch.shader = Box::leak(Box::new(Shader { source, ..*shader }));
            let outcome = gpu.block_on(check.run_plan(gpu, plan));
            let message = outcome.problem.unwrap_or_default();
            assert!(message.starts_with("padding: "), "{}, {what}: {message}", common::name(gpu));
        }
    }
}
