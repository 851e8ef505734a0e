//! The dependency rules of ARCHITECTURE.md, checked on the `use` lines of every source file. The
//! check is also shown to find a violation.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The modules of the crate that `module` must not import.
fn forbidden(module: &str) -> &'static [&'static str] {
    match module {
        "error" | "shape" => {
            &["weights", "kernels", "graph", "models", "gpu", "schedulers", "tokenizer"]
        }
        "weights" => &["kernels", "graph", "models", "gpu", "schedulers", "tokenizer"],
        "kernels" => &["graph", "models", "gpu"],
        "graph" => &["models", "gpu", "schedulers"],
        "models" => &["gpu"],
        "schedulers" | "tokenizer" | "prompt" => &["graph", "gpu"],
        _ => &[],
    }
}

/// The rule violations in a source file; `path` is relative to `src/`.
fn violations(path: &Path, source: &str) -> Vec<String> {
    let first = path.components().next().expect("a path").as_os_str().to_string_lossy();
    let module = first.trim_end_matches(".rs");
    let mut found = Vec::new();
    let code: String = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n")
        .collect();
    for name in crate_modules(&code) {
        if forbidden(module).contains(&name) {
            found.push(format!("{}: {module} names {name}", path.display()));
        }
    }
    if module != "gpu" && names_wgpu(&code) {
        found.push(format!("{}: {module} names wgpu", path.display()));
    }
    found
}

/// The first path segments after `crate::`, also of `crate::{a, b::{c, d}}`.
fn crate_modules(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = &code[at + prefix.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.push(identifier(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (i, character) in list.char_indices() {
            if depth == 0 && matches!(character, ',' | '}') {
                names.push(identifier(list[start..i].trim_start()));
                start = i + 1;
            }
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    names
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Whether the source imports the crate `wgpu` or uses a path that starts with it.
fn names_wgpu(code: &str) -> bool {
    code.match_indices("wgpu").any(|(at, word)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        let part = |c: char| c.is_alphanumeric() || c == '_';
        let whole = !before.ends_with(part) && !after.starts_with(part);
        let inner = before.ends_with("::") && !before.ends_with(" ::");
        whole && !inner && (after.starts_with("::") || before.trim_end().ends_with("use"))
    })
}

/// The source files under a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a folder of sources").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn dependencies_point_one_way() {
    let folder = root().join("src");
    let mut found = Vec::new();
    for path in sources(&folder) {
        let source = std::fs::read_to_string(&path).expect("a source file");
        found.extend(violations(path.strip_prefix(&folder).expect("under src"), &source));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_dependency_check_finds_violations() {
    let bad = [
        ("kernels/matmul.rs", "use crate::graph::Tensor;"),
        ("kernels/matmul.rs", "use crate::{error::Error, models::unet};"),
        ("kernels/matmul.rs", "fn f() { crate::gpu::run(); }"),
        ("graph/mod.rs", "pub use crate::gpu;"),
        ("graph/mod.rs", "use crate::{\n    error::{Error, Result},\n    models,\n};"),
        ("graph/plan.rs", "use crate::schedulers::Step;"),
        ("models/unet.rs", "use crate::gpu::Device;"),
        ("schedulers/mod.rs", "use crate::graph::Tensor;"),
        ("tokenizer.rs", "use crate::gpu::Device;"),
        ("tokenizer/special.rs", "use crate::graph::Tensor;"),
        ("shape.rs", "use crate::kernels::Op;"),
        ("shape.rs", "use crate::weights::WeightFormat;"),
        ("weights/pack.rs", "use crate::kernels::Target;"),
        ("weights/mod.rs", "use crate::graph::WeightUse;"),
        ("graph/plan.rs", "use wgpu::Buffer;"),
        ("lib.rs", "pub use wgpu;"),
        ("main.rs", "let limits = wgpu::Limits::default();"),
    ];
    for (path, source) in bad {
        let found = violations(Path::new(path), source);
        assert_eq!(found.len(), 1, "{path}: {source}: {found:?}");
    }
    let good = [
        ("kernels/matmul.rs", "use crate::shape::{graph, Shape}; // not crate::graph::Tensor"),
        ("kernels/matmul.rs", "use crate::weights::WeightLayout;"),
        ("graph/mod.rs", "use crate::{error::{gpu, Error}, kernels::Op, shape::Shape};"),
        ("models/unet.rs", "use crate::graph::Tensor;"),
        ("gpu/device.rs", "use crate::{graph::Plan, error::Error};\nuse wgpu::Buffer;"),
        ("lib.rs", "//! Runs on wgpu::Device.\nlet name = \"wgpu\"; crate::gpu::wgpu::x();"),
    ];
    for (path, source) in good {
        assert_eq!(violations(Path::new(path), source), Vec::<String>::new(), "{path}: {source}");
    }
}
