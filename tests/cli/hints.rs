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

/// A copy of a tiny model's folder in which a file is changed.
fn edited(name: &str, file: &str, from: &str, to: &str) -> PathBuf {
    let model = copy("sd1-tiny", name);
    let file = model.join(file);
    let text = fs::read_to_string(&file).expect("a configuration");
    let new = text.replacen(from, to, 1);
    assert_ne!(new, text, "{from}");
    fs::write(file, new).expect("the edited configuration");
    model
}

const RESTORE: &str = "hint: configuration files of supported models work unmodified";

#[test]
fn an_edited_configuration_is_to_be_restored_but_not_for_other_errors() {
    let file = "unet/config.json";
    let model = edited("hint-config", file, "\"sample_size\": ", "\"sample_size\": 99999");
    assert!(hint(&["--model", text(&model)], "sample_size").starts_with(RESTORE));
    // A sampler that does not go with the model's settings, and the request that chose it.
    let file = "scheduler/scheduler_config.json";
    let model = edited("hint-sampler", file, "{", "{\"lower_order_final\": false,");
    let arguments = ["--model", text(&model), "--scheduler", "unipc", "--steps", "5"];
    let all = [&["txt2img", "a red apple"], &arguments[..]].concat();
    let run = croquis(&all);
    assert!(run.err.contains("is not finite") && !run.err.contains("hint:"), "{}", run.err);
}

#[test]
fn a_picture_that_overflows_in_f32_is_not_sent_to_f32() {
    let run = ["txt2img", "a red apple", "--scheduler", "euler", "--steps", "3", "--seed", "1"];
    let run = croquis(&[&run[..], &["--guidance-scale", "3e38"]].concat());
    let at = run.err.find("\nhint: ").expect("a hint");
    assert!(run.err[..at].contains("not finite"), "{}", run.err);
    let hint = &run.err[at..];
    assert!(hint.contains("--guidance-scale overflows") && !hint.contains("f32"), "{hint}");
}

#[test]
fn a_missing_file_is_a_download_only_where_its_link_is_there() {
    let missing = fresh("hint-missing.safetensors");
    let run = croquis(&["txt2img", "a", "--lora", text(&missing)]);
    assert_eq!(run.complaint(1, &["no such file", "check the path"]), None);
    assert!(!run.err.contains("download"), "{}", run.err);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", &missing).expect("a link");
        let run = croquis(&["txt2img", "a", "--lora", text(&missing)]);
        assert_eq!(run.complaint(1, &["no such file", "a link to nothing", "download"]), None);
    }
}
