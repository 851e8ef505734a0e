//! Every kernel in every variant against its f64 reference, on every adapter, storage type and weight
//! format.

mod common;
#[path = "../benches/shapes/mod.rs"]
#[allow(dead_code)] // labels are for the bench
mod shapes;

use croquis::doctor::KernelCheck;
use croquis::gpu::{Gpu, GpuWeights, Program};
use croquis::internal::graph::{Builder, Dispatch, Plan, Scope, single_op};
use croquis::internal::kernels::{
    Case, Choices, DeviceClass, Fill, Lcg, Op, Shader, Target, activation,
};
use croquis::internal::shape::{Storage, TensorType};
use croquis::internal::weights::{WeightFormat, Weights};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// All cases of all kernels, with their f64 references.
fn checks() -> impl Iterator<Item = KernelCheck> {
    (0..).zip(Op::cases()).map(|(seed, case)| KernelCheck::new(case, seed))
}

/// The variants of every device class on a device: the plans of a check whose module or workgroups
/// differ from those before.
fn variants(check: &KernelCheck, target: &Target) -> Vec<Plan> {
    let classes = DeviceClass::ALL.map(|class| Target { class, ..target.clone() });
    let plans = classes.iter().flat_map(|target| check.variants(target).expect("the case fits"));
    let mut seen = HashSet::new();
    plans
        .filter(|plan| {
            let Dispatch { shader, launch, .. } = dispatch(plan);
            seen.insert((shader.module(target.storage, launch), launch.groups))
        })
        .collect()
}

/// The names of the kernels that read an operand `weight`, in any weight format.
fn with_weights() -> Vec<&'static str> {
    let reads = |shader: &&&Shader| shader.operands.contains(&"weight");
    let names: Vec<_> = Op::SHADERS.iter().filter(reads).map(|shader| shader.name).collect();
    assert!(names.len() >= 3, "{names:?}");
    names
}

/// The only dispatch of a plan.
fn dispatch(plan: &Plan) -> &Dispatch {
    plan.dispatches().next().expect("a dispatch")
}

/// The weight formats that a device can read beside that of its storage type.
fn other_formats(target: &Target) -> impl Iterator<Item = WeightFormat> {
    let of_storage = WeightFormat::from(target.storage);
    let f16 = target.capabilities.f16;
    WeightFormat::ALL
        .into_iter()
        .filter(move |format| *format != of_storage && (f16 || *format != WeightFormat::F16))
}

/// Runs plans of a check on a device and adds the failures to a list.
fn run(gpu: &Gpu, check: &KernelCheck, plans: Vec<Plan>, failures: &mut Vec<String>) {
    for plan in plans {
        let (variant, format) = (dispatch(&plan).launch.variant.clone(), plan.target.weight_format);
        let outcome = gpu.block_on(check.run_plan(gpu, plan));
        if !outcome.passed {
            failures.push(format!("{}, {variant}, {format:?}: {outcome}", common::name(gpu)));
        }
    }
}

#[test]
fn every_variant_of_every_kernel_agrees_with_its_reference() {
    let (mut failures, mut runs) = (Vec::new(), 0);
    for check in checks() {
        for gpu in common::gpus() {
            let plans = variants(&check, gpu.target());
            runs += plans.len();
            run(gpu, &check, plans, &mut failures);
        }
    }
    println!("{runs} runs of kernels");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn weights_of_every_format_are_read_under_every_storage_type() {
    /// Cases of a kernel: enough for rows that are no whole quads, biases and gates.
    const CASES: usize = 4;
    let (mut failures, mut runs) = (Vec::new(), BTreeMap::new());
    for name in with_weights() {
        for check in checks().filter(|check| check.case().op.name() == name).take(CASES) {
            for gpu in common::gpus() {
                for format in other_formats(gpu.target()) {
                    let target = Target { weight_format: Some(format), ..gpu.target().clone() };
                    // The libraries that read weights: one of them staged, one not.
                    let classes = [DeviceClass::Software, DeviceClass::Portable];
                    let plans: Vec<_> = classes
                        .map(|class| check.plan(&Target { class, ..target.clone() }))
                        .map(|plan| plan.expect("the case fits"))
                        .into();
                    assert_eq!(dispatch(&plans[0]).launch.weight_format, Some(format));
                    *runs.entry((name, format)).or_insert(0) += plans.len();
                    run(gpu, &check, plans, &mut failures);
                }
            }
        }
    }
    println!("{runs:?}");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn a_table_of_choices_changes_the_variant_of_its_keys() {
    let gpu = &common::gpus()[0];
    let mut changed = 0;
    for check in checks().filter(|check| check.case().op.name() == "matmul") {
        for plan in check.variants(gpu.target()).expect("the case fits") {
            // A plan of `variants` is made with a table that has its key.
            let [(key, name)]: [_; 1] =
                plan.target.choices.iter().collect::<Vec<_>>().try_into().expect("one choice");
            assert!(key.starts_with(&format!("matmul {}", gpu.target().storage)), "{key}");
            assert_eq!(dispatch(&plan).launch.variant, *name, "{key}");
            changed += usize::from(
                *name != dispatch(&check.plan(gpu.target()).expect("it fits")).launch.variant,
            );
            // Another key and an unknown name are ignored.
            let default = check.plan(gpu.target()).expect("the case fits");
            for (key, name) in [(format!("{key}x"), name.clone()), (key.clone(), "none".into())] {
                let choices = Arc::new(Choices::from([(key, name)]));
                let plan = check.plan(&Target { choices, ..gpu.target().clone() });
                let plan = plan.expect("the case fits");
                let launch = &dispatch(&plan).launch;
                assert_eq!(launch.variant, dispatch(&default).launch.variant);
            }
        }
    }
    assert!(changed > 0, "no variant beside the defaults");
}

#[test]
fn a_weight_that_is_read_in_another_format_is_detected() {
    let gpu = &common::gpus()[0];
    for name in with_weights() {
        let check = checks().find(|check| check.case().op.name() == name).expect("a case");
        let target = Target { weight_format: Some(WeightFormat::F32), ..gpu.target().clone() };
        let mut plan = check.plan(&target).expect("the case fits");
        plan.dispatches_mut().next().expect("a dispatch").launch.weight_format =
            Some(WeightFormat::Packed);
        let outcome = gpu.block_on(check.run_plan(gpu, plan));
        assert!(!outcome.passed && outcome.error > outcome.tolerance, "{outcome}");
    }
}

/// Nothing else runs the benches.
#[test]
fn the_benches_have_a_valid_shape_of_every_kernel() {
    for shape in shapes::shapes(true) {
        let plan = single_op(&shape.case).and_then(|graph| {
            let target = Target { max_binding_bytes: u64::MAX, ..Target::webgpu(Storage::F16) };
            Plan::new(&graph, &target)
        });
        assert!(plan.is_ok(), "{}: {:?}", shape.label, plan.err());
    }
}

#[test]
fn one_weight_is_read_in_two_layouts() {
    let mut random = Lcg::new(5);
    let mut draw = |count: usize| -> Vec<f32> {
        (0..count).map(|_| random.draw(Fill::Uniform(1.0)) as f32).collect()
    };
    let tensors = [("a.weight".to_string(), (vec![6, 5, 1, 1], draw(30)))];
    let (weights, x) = (Weights::from_f32(&tensors.into()).expect("weights"), draw(3 * 4 * 5));
    for gpu in common::gpus() {
        let builder = Builder::new();
        let m = Scope::new(&builder, "test", &weights);
        let input = builder.input("x", TensorType::real([1, 3, 4, 5]));
        builder.output("matmul", m.linear("a", input));
        builder.output("conv2d", m.conv_with("a", input, 1, [0; 4]));
        let plan = Plan::new(&builder.finish().expect("a graph"), gpu.target()).expect("a plan");
        let mut uploaded = GpuWeights::default();
        gpu.block_on(uploaded.upload(gpu, &weights, &plan.weights)).expect("an upload");
        let program = gpu.block_on(Program::new(gpu, plan, &uploaded, &[])).expect("a program");
        program.write("x", &x).expect("an input");
        program.run();
        let read = |name| gpu.block_on(program.read(name)).expect("an output");
        let error = common::relative_l2(&read("conv2d"), &read("matmul"));
        assert!(error < 1e-3, "{}: {error}", common::name(gpu));
    }
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
