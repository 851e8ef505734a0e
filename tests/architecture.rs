//! The dependency rules of ARCHITECTURE.md, checked on the `use` lines of every source file. The
//! check is also shown to find a violation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The rooms of the crate, each with the rooms that it may use: every room uses rooms above it only.
const ROOMS: [(&str, &[&str]); 23] = [
    ("error", &[]),
    ("disk", &[]),
    ("shape", &[]),
    ("logging", &[]),
    ("prompt", &["error"]),
    ("picture", &["error"]),
    ("random", &["error"]),
    ("schedulers", &["error"]),
    ("tokenizer", &["error"]),
    ("weights", &["disk", "error", "shape"]),
    ("kernels", &["error", "shape", "weights"]),
    ("graph", &["error", "kernels", "logging", "shape", "weights"]),
    ("models", &["error", "graph", "kernels", "shape", "tokenizer", "weights"]),
    ("gpu", &["error", "graph", "kernels", "logging", "shape", "weights"]),
    ("families", &["error", "graph", "models", "schedulers", "tokenizer", "weights"]),
    (
        "files",
        &["disk", "error", "families", "models", "schedulers", "shape", "tokenizer", "weights"],
    ),
    ("lora", &["error", "files", "weights"]),
    ("hub", &["disk", "error", "files"]),
    ("memory", &["error", "gpu", "graph", "shape"]),
    (
        "components",
        &[
            "disk",
            "error",
            "families",
            "files",
            "gpu",
            "graph",
            "kernels",
            "logging",
            "lora",
            "memory",
            "models",
            "picture",
            "prompt",
            "schedulers",
            "shape",
            "tokenizer",
            "weights",
        ],
    ),
    (
        "diffusion",
        &[
            "components",
            "error",
            "families",
            "files",
            "gpu",
            "graph",
            "kernels",
            "lora",
            "memory",
            "models",
            "picture",
            "prompt",
            "random",
            "schedulers",
            "shape",
        ],
    ),
    (
        "doctor",
        &[
            "diffusion",
            "error",
            "files",
            "gpu",
            "graph",
            "kernels",
            "picture",
            "schedulers",
            "shape",
            "weights",
        ],
    ),
    // The command and the crate's root are programs around the library.
    ("cli", &[]),
];

/// The room of a source file; `path` is relative to `src/`.
fn room(path: &Path) -> String {
    let first = path.components().next().expect("a path").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_string()
}

/// The rooms that a room may use; the crate's root and its hidden seam may use all.
fn allowed(room: &str) -> Option<&'static [&'static str]> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, uses)| *uses)
}

/// The code of a file without comments.
fn code(source: &str) -> String {
    source.lines().map(|l| l.split("//").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// The rule violations in a source file; `path` is relative to `src/`.
fn violations(path: &Path, source: &str) -> Vec<String> {
    let (module, code) = (room(path), code(source));
    let mut found = Vec::new();
    let root = ["lib", "main", "internal"].contains(&module.as_str());
    match allowed(&module) {
        Some(uses) => {
            // Tests inside a file may use what they test with.
            let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            for name in crate_modules(code) {
                if !name.is_empty() && name != module && !uses.contains(&name) {
                    found.push(format!("{}: {module} names {name}", path.display()));
                }
            }
        }
        None if !root => found.push(format!("{}: the room {module} is unknown", path.display())),
        None => {}
    }
    if module != "gpu" && names_wgpu(&code) {
        found.push(format!("{}: {module} names wgpu", path.display()));
    }
    found
}

/// The first path segments after `crate::`, also of `crate::{a, b::{c, d}}`.
fn crate_modules(code: &str) -> Vec<&str> {
    first_names(code, "crate::")
}

/// The first names of all paths from a prefix, also of `prefix::{a, b::{c, d}}`.
fn first_names<'c>(code: &'c str, prefix: &str) -> Vec<&'c str> {
    let mut names = Vec::new();
    for (at, prefix) in code.match_indices(prefix) {
        if code[..at].ends_with("super::") {
            continue; // of the folder above
        }
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

/// The files in the same folder that a file imports by `super::name`.
fn siblings(path: &Path, code: &str) -> Vec<PathBuf> {
    let folder = path.parent().expect("a folder");
    let mut found = Vec::new();
    for name in first_names(code, "super::") {
        for candidate in [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")] {
            if candidate.is_file() && candidate != path {
                found.push(candidate);
            }
        }
    }
    found
}

/// A circle of imports that a file is part of, if there is one.
fn circle(start: &Path, edges: &BTreeMap<PathBuf, Vec<PathBuf>>) -> Option<Vec<PathBuf>> {
    let mut paths = vec![vec![start.to_path_buf()]];
    let mut seen = BTreeSet::new();
    while let Some(path) = paths.pop() {
        for next in edges.get(path.last()?).into_iter().flatten() {
            if next == start {
                return Some(path);
            }
            if seen.insert(next.clone()) {
                paths.push([path.clone(), vec![next.clone()]].concat());
            }
        }
    }
    None
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut edges = BTreeMap::new();
    for path in sources(&root().join("src")) {
        let source = std::fs::read_to_string(&path).expect("a source file");
        let code = code(&source);
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        edges.insert(path.clone(), siblings(&path, code));
    }
    assert!(edges.values().map(Vec::len).sum::<usize>() > 100, "imports are found");
    let circles: Vec<_> = edges.keys().filter_map(|file| circle(file, &edges)).collect();
    assert!(circles.is_empty(), "{circles:#?}");
    // One more import makes a circle, which is found.
    let (from, to) = edges.iter().find_map(|(from, to)| Some((from, to.first()?))).expect("one");
    let (from, to) = (from.clone(), to.clone());
    edges.get_mut(&to).expect("a file").push(from.clone());
    assert!(circle(&from, &edges).is_some());
}

#[test]
fn the_list_of_rooms_is_exact() {
    let folder = root().join("src");
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources(&folder) {
        let source = std::fs::read_to_string(&path).expect("a source file");
        let code = code(&source);
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let names = crate_modules(code).into_iter().map(String::from);
        used.entry(room(path.strip_prefix(&folder).expect("under src"))).or_default().extend(names);
    }
    for (index, (room, uses)) in ROOMS.iter().enumerate() {
        let used = used.get(*room).unwrap_or_else(|| panic!("there is no room {room}"));
        for name in *uses {
            assert!(used.contains(*name), "{room} does not use {name} any more");
            let above = ROOMS[..index].iter().any(|(room, _)| room == name);
            assert!(above, "{room} uses {name}, which stands below it");
        }
    }
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
