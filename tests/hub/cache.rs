//! Models found in the cache as other tools leave it.

use super::{FILES, empty_cache, golden, repository};
use croquis::ErrorKind;
use croquis::diffusion::Model;
use croquis::files::ModelFiles;
use croquis::hub::{HubOptions, locate};
use std::fs;
use std::path::{Path, PathBuf};

pub const COMMIT: &str = "39593d5650112b4cc580433f6b0435385882d819";

/// Creates a cache with a snapshot of these files.
pub fn cache_of<'a>(name: &str, files: impl IntoIterator<Item = &'a str>) -> (HubOptions, PathBuf) {
    let options = empty_cache(name);
    let folder = options.cache.join("models--org--tiny");
    let snapshot = folder.join("snapshots").join(COMMIT);
    for file in files {
        write(&snapshot.join(file), &golden(file));
    }
    write(&folder.join("refs/main"), COMMIT.as_bytes());
    (options, snapshot)
}

pub fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}

#[test]
fn a_complete_snapshot_is_opened_by_branch_and_by_commit() {
    let (options, snapshot) = cache_of("complete", FILES);
    for name in ["org/tiny", "org/tiny@main", &format!("org/tiny@{COMMIT}")] {
        let folder = locate(&repository(name), &options).expect("a snapshot");
        assert_eq!(folder, snapshot);
        Model::open(&ModelFiles::folder(folder).expect("a model")).expect("a model");
    }
}

#[test]
fn missing_files_are_listed() {
    let without = ["vae/config.json", "unet/diffusion_pytorch_model.safetensors"];
    let present = FILES.into_iter().filter(|file| !without.contains(file));
    let (options, _) = cache_of("partial", present);
    let error = locate(&repository("org/tiny"), &options).expect_err("a list");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let message = error.to_string();
    let expected = format!(
        "model org/tiny: missing in the cache {}: vae/config.json, \
         unet/diffusion_pytorch_model.safetensors (or unet/diffusion_pytorch_model.fp16.safetensors); \
         get them with `hf download org/tiny vae/config.json unet/diffusion_pytorch_model.safetensors`",
        options.cache.join("models--org--tiny").display()
    );
    assert!(message.starts_with(&expected), "{message}");
    let advice = match cfg!(feature = "hub") {
        true => "or unset HF_HUB_OFFLINE",
        false => "or install croquis with the feature hub",
    };
    assert!(message.contains(advice), "{message}");
}

#[test]
fn without_anything_the_usual_list_is_told() {
    let options = empty_cache("nothing");
    let error = locate(&repository("org/tiny@v2"), &options).expect_err("a list");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    for file in FILES.into_iter().filter(|file| !file.contains("tokenizer_config")) {
        let told = error.to_string().contains(file) || file.contains("special_tokens");
        assert!(told, "{file}: {error}");
    }
    assert!(error.to_string().contains("hf download org/tiny --revision v2 model_index.json"));
}

#[test]
fn a_damaged_cache_is_told() {
    let (options, snapshot) = cache_of("damaged", FILES);
    write(&snapshot.join("model_index.json"), b"{");
    let error = locate(&repository("org/tiny"), &options).expect_err("damaged");
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(error.to_string().starts_with("model org/tiny: model_index.json: expected"), "{error}");

    write(&options.cache.join("models--org--tiny/refs/main"), b"../../elsewhere");
    let error = locate(&repository("org/tiny"), &options).expect_err("damaged");
    assert!(error.to_string().contains("refs/main: expected the name of a commit"), "{error}");
}

/// Snapshot links into `blobs/`, one of them to a missing blob.
#[test]
#[cfg(unix)]
fn a_link_to_nothing_is_a_missing_file() {
    let (options, snapshot) = cache_of("dangling", FILES);
    let file = snapshot.join("unet/config.json");
    fs::remove_file(&file).expect("a file");
    std::os::unix::fs::symlink("../../../blobs/gone", &file).expect("a link");
    let error = locate(&repository("org/tiny"), &options).expect_err("a list");
    assert!(error.to_string().contains(": unet/config.json; get them"), "{error}");
}

#[test]
fn one_file_of_a_snapshot() {
    let (options, snapshot) = cache_of("one-file", []);
    let file = snapshot.join("gguf/model-q8_0.gguf");
    let missing = locate(&repository("org/tiny/gguf/model-q8_0.gguf"), &options);
    let message = missing.expect_err("a list").to_string();
    assert!(message.contains("model org/tiny/gguf/model-q8_0.gguf: missing in"), "{message}");
    assert!(message.contains("`hf download org/tiny gguf/model-q8_0.gguf`"), "{message}");
    write(&file, b"GGUF");
    let found = locate(&repository("org/tiny/gguf/model-q8_0.gguf"), &options);
    assert_eq!(found.expect("a file"), file);
}
