//! Assumptions of the host about every shader that no compiler checks. Every check is also shown to
//! find a violation.

use croquis::Storage;
use croquis::internal::kernels::{Case, DeviceClass, Launch, Op, Shader, Target};
use croquis::internal::weights::WeightFormat;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ShaderStage, StorageAccess, TypeInner};
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// WebGPU's default limits for each device class.
fn targets(storage: Storage) -> impl Iterator<Item = Target> {
    DeviceClass::ALL.into_iter().map(move |class| Target { class, ..Target::webgpu(storage) })
}

/// The maximum of storage buffers in WebGPU's default limits.
const MAX_STORAGE_BUFFERS: usize = 8;

/// Checks a shader's module against all assumptions of the host.
fn check(text: &str, shader: &Shader, launch: &Launch, target: &Target) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))?;
    let formats = [Some(target.storage.into()), launch.weight_format];
    let capabilities = formats.into_iter().flatten().map(|format| match format {
        WeightFormat::F16 => Capabilities::SHADER_FLOAT16,
        // WebGPU's core has the conversions between u32 and pairs of halves.
        WeightFormat::Packed => Capabilities::SHADER_FLOAT16_IN_FLOAT32,
        WeightFormat::F32 => Capabilities::empty(),
    });
    let capabilities = capabilities.fold(Capabilities::empty(), |all, one| all | one);
    Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .map_err(|error| error.emit_to_string(text))?;
    check_interface(&module, shader, launch)?;
    check_constants(text, launch)?;
    check_limits(&module, launch, target)
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, got: T) -> Result<(), String> {
    match expected == got {
        true => Ok(()),
        false => Err(format!("{what}: expected {expected:?}, got {got:?}")),
    }
}

/// Checks entry point, bindings and parameters.
fn check_interface(module: &naga::Module, shader: &Shader, launch: &Launch) -> Result<(), String> {
    let entries: Vec<_> =
        module.entry_points.iter().map(|entry| (entry.stage, entry.name.as_str())).collect();
    expect("entry points", vec![(ShaderStage::Compute, shader.name)], entries)?;

    let read = AddressSpace::Storage { access: StorageAccess::LOAD };
    let write = AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE };
    let names = ["params"].into_iter().chain(shader.operands.iter().copied()).chain(["out"]);
    let expected: Vec<_> = names
        .enumerate()
        .map(|(binding, name)| match name {
            "params" => (0, binding as u32, name, AddressSpace::Uniform),
            "out" => (0, binding as u32, name, write),
            _ => (0, binding as u32, name, read),
        })
        .collect();
    let mut bound = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        if let Some(at) = variable.binding {
            let name = variable.name.as_deref().unwrap_or_default();
            bound.push((at.group, at.binding, name, variable.space));
        }
    }
    bound.sort_by_key(|&(group, binding, ..)| (group, binding));
    expect("bindings", expected, bound)?;

    let params = module.global_variables.iter().find(|(_, variable)| {
        variable.space == AddressSpace::Uniform && variable.name.as_deref() == Some("params")
    });
    let Some((_, params)) = params else { return Err("params: missing".into()) };
    let TypeInner::Struct { members, span } = &module.types[params.ty].inner else {
        return Err("params: not a struct".into());
    };
    let expected: Vec<_> = shader.params.iter().map(|field| (field.name, field.offset)).collect();
    let got: Vec<_> = members
        .iter()
        .map(|member| (member.name.as_deref().unwrap_or_default(), member.offset as usize))
        .collect();
    expect("members of Params", expected, got)?;
    expect("bytes of Params", launch.params.len(), *span as usize)
}

/// Checks that every constant of the header is named below it: a pipeline is compiled for each distinct header, so
/// one that no kernel reads would compile the same kernel twice.
fn check_constants(text: &str, launch: &Launch) -> Result<(), String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n")
        .collect();
    let part = |c: char| !(c.is_alphanumeric() || c == '_');
    for (name, _) in &launch.constants {
        let named = code.split(part).filter(|word| word == name).count();
        expect(&format!("constant {name} is read"), true, named > 1)?;
    }
    Ok(())
}

/// Checks workgroup memory and size, buffers, and the number of workgroups.
fn check_limits(module: &naga::Module, launch: &Launch, target: &Target) -> Result<(), String> {
    let at_most = |what: &str, limit: u32, got: u32| match got <= limit {
        true => Ok(()),
        false => Err(format!("{what}: expected at most {limit}, got {got}")),
    };
    let mut memory_bytes = 0;
    let mut buffers = 0;
    for (_, variable) in module.global_variables.iter() {
        match variable.space {
            AddressSpace::WorkGroup => {
                let bytes = module.types[variable.ty].inner.size(module.to_ctx());
                memory_bytes += bytes.next_multiple_of(16);
            }
            AddressSpace::Storage { .. } => buffers += 1,
            _ => {}
        }
    }
    at_most("bytes of workgroup memory", target.workgroup_memory_bytes, memory_bytes)?;
    at_most("storage buffers", MAX_STORAGE_BUFFERS as u32, buffers)?;
    for entry in &module.entry_points {
        let [x, y] = launch.threads_of_group();
        expect("threads of a workgroup", [x, y, 1], entry.workgroup_size)?;
        at_most("threads", target.max_invocations, entry.workgroup_size.iter().product())?;
        at_most("depth of a workgroup", 64, entry.workgroup_size[2])?;
    }
    for groups in launch.groups {
        at_most("workgroups along an axis", target.max_groups, groups)?;
        expect("no workgroups along an axis", false, groups == 0)?;
    }
    Ok(())
}

/// The launches of a case: every variant with every weight format.
fn launches(case: &Case, target: &Target) -> Result<Vec<Launch>, String> {
    let types = case.types();
    let kernel = case.op.kernel();
    if types.len() > kernel.shader().operands.len() {
        return Err(format!("more operands than {:?}", kernel.shader().operands));
    }
    let output = kernel.infer(&types).map_err(|mismatch| mismatch.0)?;
    let variants = kernel.variants(&types, output, target);
    let names: BTreeSet<_> = variants.iter().map(|launch| &launch.variant).collect();
    expect("names of variants", variants.len(), names.len())?;
    let first = variants.first().ok_or("no variant")?;
    expect("the reader of weights", first.matrix().is_some(), has_weight(kernel.shader()))?;
    let formats: Vec<_> = match first.matrix() {
        Some(_) => WeightFormat::ALL.map(Some).into(),
        None => vec![None],
    };
    let with = |weight_format| {
        let set = move |launch: &Launch| Launch { weight_format, ..launch.clone() };
        variants.iter().map(set).collect::<Vec<_>>()
    };
    Ok(formats.into_iter().flat_map(with).collect())
}

/// Whether a shader reads an operand with `weight_quad`.
fn has_weight(shader: &Shader) -> bool {
    shader.operands.contains(&"weight")
}

#[test]
fn every_shader_is_what_the_host_assumes() {
    let mut failures = Vec::new();
    let mut seen = HashSet::new();
    for case in Op::cases() {
        for target in Storage::ALL.into_iter().flat_map(targets) {
            let shader = case.op.kernel().shader();
            let Target { storage, class, .. } = target;
            let launches = launches(&case, &target).unwrap_or_else(|message| {
                failures.push(format!("{:?} {storage} {class:?}: {message}", case.op));
                Vec::new()
            });
            for launch in launches {
                let text = shader.module(storage, &launch);
                if !seen.insert((text.clone(), launch.groups)) {
                    continue; // the same kernel as another class's
                }
                if let Err(message) = check(&text, shader, &launch, &target) {
                    let variant = &launch.variant;
                    failures.push(format!("{:?} {storage} {variant}: {message}", case.op));
                }
            }
        }
    }
    println!("{} modules", seen.len());
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// The kernels that do most of the work have variants to choose from.
#[test]
fn products_and_attention_have_at_least_three_variants() {
    for case in Op::cases() {
        if !["matmul", "conv2d", "attention"].contains(&case.op.name()) {
            continue;
        }
        let types = case.types();
        let output = case.op.kernel().infer(&types).expect("a valid case");
        for target in targets(Storage::F32) {
            let variants = case.op.kernel().variants(&types, output, &target);
            assert!(variants.len() >= 3, "{:?}: {}", case.op, variants.len());
        }
    }
}

#[test]
fn every_shader_file_is_an_operation_with_cases() {
    let files: BTreeSet<String> = std::fs::read_dir(root().join("shaders"))
        .expect("shaders")
        .map(|entry| entry.expect("shaders").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wgsl"))
        .map(|path| path.file_stem().expect("a file").to_string_lossy().into_owned())
        .collect();
    let operations: BTreeSet<String> =
        Op::SHADERS.iter().map(|shader| shader.name.to_owned()).collect();
    let cases: BTreeSet<String> =
        Op::cases().iter().map(|case| case.op.name().to_owned()).collect();
    assert_eq!(files, operations);
    assert_eq!(cases, operations);
}

/// A rule's violation: its name, an edit of a valid module, and a word of the expected message.
type Violation = (&'static str, fn(&str) -> String, &'static str);

const VIOLATIONS: [Violation; 10] = [
    ("syntax", |text| text.replace("fn activation(", "fn activation"), "expected"),
    ("type", |text| text.replace("let i = ", "let i: f32 = "), "error"),
    ("entry point", |text| text.replace("fn activation(", "fn activate_all("), "entry points"),
    (
        "name of an operand",
        |text| text.replace(" x: array", " input: array").replace("x[i]", "input[i]"),
        "bindings",
    ),
    ("number of a binding", |text| text.replace("@binding(1)", "@binding(3)"), "bindings"),
    ("access", |text| text.replace("<storage, read>", "<storage, read_write>"), "bindings"),
    ("name of a parameter", |text| text.replace("quads", "count"), "members of Params"),
    (
        "size of the parameters",
        |text| text.replace("quads: u32,", "@size(16) quads: u32,"),
        "bytes of Params",
    ),
    (
        "workgroup memory",
        |text| text.to_owned() + "var<workgroup> tile: array<vec4<f32>, 1025>;",
        "bytes of workgroup memory",
    ),
    (
        "threads",
        |text| text.replace("@workgroup_size(GROUP)", "@workgroup_size(GROUP, 5)"),
        "threads",
    ),
];

#[test]
fn the_shader_checks_find_violations() {
    let case = Op::cases().into_iter().find(|case| case.op.name() == "activation").expect("a case");
    let target = Target::webgpu(Storage::F32);
    let mut launch = launches(&case, &target).expect("a valid case").remove(0);
    let shader = case.op.kernel().shader();
    let text = shader.module(target.storage, &launch);
    assert_eq!(check(&text, shader, &launch, &target), Ok(()));
    for (what, edit, word) in VIOLATIONS {
        let edited = edit(&text);
        assert_ne!(edited, text, "{what}: the edit changes nothing");
        match check(&edited, shader, &launch, &target) {
            Ok(()) => panic!("{what}: not found"),
            Err(message) => assert!(message.contains(word), "{what}: {message}"),
        }
    }
    // A capability beyond WebGPU's core: f16 where the storage type needs none.
    let half = shader.module(Storage::F16, &launch);
    assert!(check(&half, shader, &launch, &target).is_err());
    let unread = launch.clone().constant("ROWS", 4u32);
    let message = check(&shader.module(target.storage, &unread), shader, &unread, &target);
    assert_eq!(message, Err("constant ROWS is read: expected true, got false".into()));
    launch.groups = [target.max_groups + 1, 1, 1];
    assert!(check(&text, shader, &launch, &target).is_err());
}
