//! Hints are printed where they are true.

use super::{croquis, fresh, safetensors_file, text};
use std::fs;
use std::path::{Path, PathBuf};

const OF_ONE_MODEL: &str = "hint: the weights must be complete, and of the same model";

/// What a failing command prints after its error.
fn hint(arguments: &[&str], message: &str) -> String {
    let all = [&["txt2img", "a red apple", "--steps", "1", "--seed", "1"], arguments].concat();
    let outcome = croquis(&all);
    assert_eq!(outcome.status, Some(1), "{arguments:?}: {}", outcome.err);
    assert!(outcome.err.contains(message), "{message}: {}", outcome.err);
    let at = outcome.err.find("\nhint: ");
    at.map_or(String::new(), |at| outcome.err[at + 1..].to_string())
}

/// A copy of a tiny model's folder.
fn copy(model: &str, name: &str) -> PathBuf {
    fn folder(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("a new folder");
        for entry in fs::read_dir(from).expect("a folder") {
            let path = entry.expect("an entry").path();
            let new = to.join(path.file_name().expect("a name"));
            match path.is_dir() {
                true => folder(&path, &new),
                false => drop(fs::copy(&path, &new).expect("a copy")),
            }
        }
    }
    let to = fresh(name);
    folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(model), &to);
    to
}

#[test]
fn weights_beside_another_configuration_are_hinted_at() {
    let model = copy("sd1-tiny", "hint-unet");
    let config = model.join("unet/config.json");
    let edited = fs::read_to_string(&config).expect("a configuration");
    let edited = edited.replace("\"norm_num_groups\": 16", "\"norm_num_groups\": 7");
    fs::write(&config, edited).expect("the edited configuration");
    let hint = hint(&["--model", text(&model)], "7 groups");
    assert!(hint.starts_with(OF_ONE_MODEL), "{hint}");
}

#[test]
fn a_lora_is_not_told_of_configurations() {
    let empty = fresh("hint-empty-lora.safetensors");
    fs::write(&empty, [&2u64.to_le_bytes()[..], b"{}"].concat()).expect("an empty file");
    assert_eq!(hint(&["--lora", text(&empty)], "expected a LoRA"), "");
    let other = safetensors_file("hint-lora.safetensors", "nothing.known", &[2], &[1.0, 2.0]);
    assert_eq!(hint(&["--lora", text(&other)], "nothing.known"), "");
}

#[test]
fn a_type_that_cannot_be_read_is_not_told_of_configurations() {
    let model = copy("sd1-tiny", "hint-type");
    let file = model.join("unet/diffusion_pytorch_model.safetensors");
    let bytes = fs::read(&file).expect("weights");
    // Of the same size, so that the file stays valid.
    let (from, to) = match bytes.windows(5).any(|five| five == b"\"F16\"") {
        true => (b"\"F16\"", b"\"I16\""),
        false => (b"\"F32\"", b"\"I32\""),
    };
    let at = bytes.windows(5).position(|five| five == from).expect("a type");
    let mut edited = bytes;
    edited[at..at + 5].copy_from_slice(to);
    fs::write(&file, edited).expect("the edited weights");
    assert_eq!(hint(&["--model", text(&model)], "got i"), "");
}

#[test]
fn a_budget_that_is_too_small_is_told_once() {
    let arguments = ["--storage", "f32", "--memory", "20M"];
    assert_eq!(hint(&arguments, "no size fits, not even 64x64 pixels"), "");
}
