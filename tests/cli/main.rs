//! The command's output and its errors for bad input, tested by running the built program.
#![cfg(all(feature = "cli", feature = "embedded"))]

mod arguments;
mod batch;
mod broken_models;
mod commands;
mod completions;
mod config;
mod controlnets;
mod formats;
mod from;
mod grid;
mod hints;
mod inspect;
mod model_hash;
mod pictures;
mod prompts;
mod saving;
mod sizes;
mod synth;
mod terminal;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The exit status and output of one run.
struct Outcome {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Outcome {
    /// The line of JSON on standard output.
    fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{}", self.out);
        serde_json::from_str(&self.out).expect("a line of JSON")
    }

    /// Asserts that the run succeeded.
    fn success(self) -> Self {
        assert_eq!(self.status, Some(0), "{}", self.err);
        self
    }

    /// The problem, unless the run failed with this status, printed all of these words in its
    /// message, and nothing to standard output.
    fn complaint(&self, status: i32, words: &[&str]) -> Option<String> {
        let message = self.err.rfind("error: ").map_or("", |at| &self.err[at..]);
        let missing: Vec<_> = words.iter().filter(|word| !message.contains(**word)).collect();
        let quiet = self.out.is_empty() && !self.err.contains("panicked");
        let right = self.status == Some(status) && quiet && missing.is_empty();
        (!right).then(|| format!("status {:?}, without {missing:?}:\n{}", self.status, self.err))
    }
}

/// Runs the program in the tests' folder.
fn croquis<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Outcome {
    outcome(command().args(arguments))
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_croquis"));
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    // Nothing of the user's: no settings, and no files among theirs.
    command.env("CROQUIS_CONFIG", "").env("CROQUIS_PIPELINE_CACHE", "pipelines");
    command.env("CROQUIS_HASH_CACHE", "hashes");
    command
}

fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().expect("the program starts");
    Outcome {
        status: output.status.code(),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Asserts that a run fails with status 1 and these words in its message.
fn refuses(arguments: &[&str], words: &[&str]) {
    let all = [&["txt2img", "a red apple", "--steps", "1"], arguments].concat();
    if let Some(complaint) = croquis(&all).complaint(1, words) {
        panic!("{arguments:?}: {complaint}");
    }
}

/// A path for one test's file; whatever was there is removed.
fn fresh(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// A path as an argument.
fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// Writes a safetensors file with one f32 tensor.
fn safetensors_file(name: &str, tensor: &str, shape: &[usize], values: &[f32]) -> PathBuf {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.into(), &bytes);
    let file = safetensors::serialize([(tensor, view.expect("a valid tensor"))], None);
    let path = fresh(name);
    std::fs::write(&path, file.expect("a valid file")).expect("the file is written");
    path
}
