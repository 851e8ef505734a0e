//! The commands of README.md, CONTRIBUTING.md and docs/: every line of a `sh` block is run with the
//! built program, a page's lines in order in one folder, or is listed here with the reason why not.
#![cfg(all(feature = "cli", feature = "embedded", unix))]

#[path = "../common/mod.rs"]
mod common;
#[path = "../upscalers/golden.rs"]
#[allow(dead_code)]
mod golden;
mod stand_ins;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines that other tests or nothing but CI run, by their beginning, with what does.
const ELSEWHERE: [(&str, &str); 15] = [
    ("./x demo", "the command is `croquis txt2img`, which other lines run"),
    ("./x test", "CI"),
    ("./x deny", "cargo-deny is not among what the tests install"),
    ("./x dist", "a release is built in minutes"),
    ("cd out", "the archive of a release"),
    ("sha256sum -c croquis-", "the archive of a release"),
    ("tar -xzf croquis-", "the archive of a release"),
    ("croquis-", "the archive of a release"),
    ("./x bench", "cargo bench is built by clippy"),
    ("cargo install", "the program is built"),
    ("cargo test", "CI"),
    ("CROQUIS_FUZZ_SECONDS=", "CI runs these tests for a number of rounds"),
    ("cargo run", "the same commands without cargo are in README.md"),
    ("CROQUIS_DEVICE=llvmpipe cargo run", "the same"),
    ("croquis doctor", "tests/cli runs it"),
];

/// Lines that need the network: run without it and with an empty cache, they name what is missing.
const FROM_THE_HUB: &str = "stabilityai/sdxl-turbo";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of a page's `sh` blocks, continued ones joined, comments removed.
fn commands(page: &str) -> Vec<String> {
    let (mut lines, mut inside, mut open) = (Vec::<String>::new(), false, false);
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
            continue;
        }
        if !inside || line.trim().is_empty() {
            continue;
        }
        let code = line.split("   #").next().unwrap_or_default().split(" # ").next();
        let code = code.unwrap_or_default().trim_end();
        let (part, continued) = match code.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (code, false),
        };
        match lines.last_mut().filter(|_| open) {
            Some(last) => last.push_str(part),
            None => lines.push(part.to_string()),
        }
        open = continued;
    }
    lines
}

/// Runs a line of a page in a folder; the error is what went wrong.
fn run(line: &str, folder: &Path) -> Result<(), String> {
    let hub = line.contains(FROM_THE_HUB);
    let program = Path::new(env!("CARGO_BIN_EXE_croquis"));
    let path = std::env::var("PATH").unwrap_or_default();
    let programs = program.parent().expect("a folder").display();
    let output = Command::new("bash")
        .args(["-ec", line])
        .current_dir(folder)
        .env("PATH", format!("{programs}:{path}"))
        .env("CROQUIS_PIPELINE_CACHE", "pipelines")
        .env("CROQUIS_HASH_CACHE", "hashes")
        .env("CROQUIS_CONFIG", "")
        // Where a line does not say how many steps: the pictures are looked at by nobody.
        .env("CROQUIS_STEPS", "2")
        .env("HF_HOME", folder.join("hub"))
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .map_err(|error| format!("bash: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    match (output.status.success(), hub) {
        (true, false) => Ok(()),
        (false, true) if told.contains(FROM_THE_HUB) && output.status.code() == Some(1) => Ok(()),
        _ => Err(format!("{line}\n{}{told}", output.status)),
    }
}

/// Runs the commands of a page and returns what failed.
fn check(name: &str, page: &str) -> Vec<String> {
    let folder = stand_ins::folder(name);
    let elsewhere = |line: &str| ELSEWHERE.iter().any(|(start, _)| line.starts_with(start));
    let lines = commands(page).into_iter().filter(|line| !elsewhere(line));
    lines.filter_map(|line| run(&line, &folder).err()).collect()
}

/// The pages whose commands are those of a user of croquis.
fn pages() -> Vec<(String, String)> {
    let mut paths = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    let docs = std::fs::read_dir(root().join("docs")).expect("docs");
    paths.extend(docs.map(|entry| entry.expect("an entry").path()));
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a page");
        (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), text)
    };
    // docs/README.md is a table of contents; README.md of the root stands for the name.
    let mut seen = BTreeSet::new();
    paths.into_iter().map(read).filter(|(name, _)| seen.insert(name.clone())).collect()
}

#[test]
fn every_command_of_the_pages_runs() {
    let mut count = 0;
    let mut failures = Vec::new();
    for (name, page) in pages() {
        count += commands(&page).len();
        failures
            .extend(check(&name, &page).into_iter().map(|failure| format!("{name}: {failure}")));
    }
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n\n"));
    assert!(count > 60, "only {count} commands were found");
}

#[test]
fn a_command_that_fails_is_found() {
    let page = "# A page\n\n```sh\ncroquis devices --json\ncroquis txt2img \\\n    --no-such-option\n\
                croquis inspect no-such-file\n```\n\n```text\nnot a command\n```\n";
    assert_eq!(commands(page)[1], "croquis txt2img     --no-such-option");
    let failures = check("failing", page);
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(failures[0].contains("--no-such-option") && failures[1].contains("no-such-file"));
}

#[test]
fn no_page_says_that_its_command_is_not_run() {
    for (name, page) in pages() {
        for line in page.lines() {
            assert!(!line.contains("# not run here"), "{name}: {line}");
        }
    }
}
