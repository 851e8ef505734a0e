//! The hash of a model's file in the settings of pictures.

use super::{command, fresh, outcome, text};
use croquis::picture::settings_text;
use std::fs;
use std::path::{Path, PathBuf};

/// The start of what `sha256sum` prints for `tests/golden/single/sd1.safetensors`, and for the UNet's
/// file in `tests/golden/sd1-tiny`.
const SINGLE: &str = "591e6d71e4";
const UNET: &str = "35753a0191";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The settings of a picture by a model.
fn settings(model: &Path, hashes: &Path, output: &str, more: &[&str]) -> String {
    let output = fresh(output);
    let mut run = command();
    run.args(["txt2img", "a cat", "-s", "1", "--steps", "1", "-W", "64", "-H", "64"]);
    run.args(["-m", text(model), "-o", text(&output)]).args(more);
    outcome(run.env("CROQUIS_HASH_CACHE", hashes)).success();
    let settings = settings_text(&fs::read(output).expect("a file")).expect("a picture");
    settings.expect("settings")
}

/// The files in a folder, and their contents.
fn kept(folder: &Path) -> Vec<(PathBuf, String)> {
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    files.map(|file| (file.clone(), fs::read_to_string(file).expect("text"))).collect()
}

#[test]
fn the_hash_is_that_of_other_programs() {
    let hashes = fresh("hashes-known");
    let single = golden("single/sd1.safetensors");
    for (model, name, hash, output) in [
        (&single, "sd1.safetensors", SINGLE, "hash.png"),
        (&single, "sd1.safetensors", SINGLE, "hash.jpg"),
        (&golden("sd1-tiny"), "sd1-tiny", UNET, "hash.webp"),
    ] {
        let settings = settings(model, &hashes, output, &[]);
        let wanted = format!(", Size: 64x64, Model hash: {hash}, Model: {name},");
        assert!(settings.contains(&wanted), "{wanted}: {settings}");
        let off = self::settings(model, &hashes, output, &["--no-model-hash"]);
        assert_eq!(off, settings.replace(&format!(" Model hash: {hash},"), ""));
    }
    assert_eq!(kept(&hashes).len(), 2);
}

#[test]
fn a_hash_is_computed_once_and_again_for_another_file() {
    let hashes = fresh("hashes-kept");
    let model = fresh("hashed.safetensors");
    let bytes = fs::read(golden("single/sd1.safetensors")).expect("a model");
    fs::write(&model, &bytes).expect("a file");
    let settings = || settings(&model, &hashes, "hashed.png", &[]);
    assert!(settings().contains(&format!("Model hash: {SINGLE},")));
    // What is kept is used: a wrong hash under the right file shows.
    let (file, entry) = kept(&hashes).remove(0);
    let wrong = entry.replace(SINGLE, "0123456789");
    assert_ne!(wrong, entry);
    fs::write(&file, &wrong).expect("a file");
    assert!(settings().contains("Model hash: 0123456789,"));
    // A damaged entry is made again.
    fs::write(&file, "{\"sha256\": 7").expect("a file");
    assert!(settings().contains(&format!("Model hash: {SINGLE},")));
    assert_eq!(kept(&hashes), [(file.clone(), entry)]);
    // Another file under the same name has another hash: here one of changed metadata.
    fs::write(&file, wrong).expect("a file");
    let at = bytes.windows(8).position(|eight| eight == b"\"format\"").unwrap_or(8);
    let mut other = bytes.clone();
    let end = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize + 8;
    let space = other[..end].iter().rposition(|byte| *byte == b' ' || *byte == b'}').unwrap_or(at);
    other.insert(space + 1, b' ');
    other[..8].copy_from_slice(&((end - 8 + 1) as u64).to_le_bytes());
    fs::write(&model, other).expect("a file");
    let changed = settings();
    assert!(changed.contains("Model hash: "), "{changed}");
    assert!(!changed.contains(SINGLE) && !changed.contains("0123456789"), "{changed}");
}

#[test]
fn nothing_is_kept_where_the_folder_is_switched_off_or_cannot_be_made() {
    let model = golden("single/sd1.safetensors");
    let file = fresh("no-folder");
    fs::write(&file, "a file").expect("a file");
    for hashes in [Path::new(""), &file, &file.join("below")] {
        let settings = settings(&model, hashes, "unkept.png", &[]);
        assert!(settings.contains(&format!("Model hash: {SINGLE},")), "{settings}");
    }
    assert_eq!(fs::read_to_string(&file).expect("a file"), "a file");
}

#[test]
fn the_hub_names_files_by_their_hashes() {
    let folder = fresh("hashes-hub");
    let blob = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let (blobs, links) = (folder.join("blobs"), folder.join("snapshots/f00"));
    fs::create_dir_all(&blobs).and_then(|()| fs::create_dir_all(&links)).expect("folders");
    fs::copy(golden("single/sd1.safetensors"), blobs.join(blob)).expect("a copy");
    let link = links.join("model.safetensors");
    #[cfg(unix)]
    std::os::unix::fs::symlink(format!("../../blobs/{blob}"), &link).expect("a link");
    #[cfg(not(unix))]
    return;
    let settings = settings(&link, &fresh("hashes-unused"), "hub.png", &[]);
    assert!(settings.contains("Model hash: 0011223344, Model: model.safetensors"), "{settings}");
}

#[test]
fn batches_and_sheets_have_it_and_the_embedded_model_has_none() {
    let folder = fresh("hashes-batch");
    fs::create_dir(&folder).expect("a folder");
    let model = golden("sd1-tiny");
    let line = serde_json::json!({ "prompt": "x", "model": text(&model), "output": "line.png" });
    fs::write(folder.join("lines"), line.to_string()).expect("a file");
    let run = |arguments: &[&str]| {
        let common = ["-W", "64", "-H", "64", "--steps", "1", "-s", "1"];
        outcome(command().current_dir(&folder).args(arguments).args(common)).success();
    };
    run(&["batch", "lines"]);
    run(&["txt2img", "x", "-m", text(&model), "--grid", "cfg=2,3", "--grid-cells", "-o", "g.png"]);
    run(&["txt2img", "x", "-o", "embedded.png"]);
    let read = |name: &str| {
        let bytes = fs::read(folder.join(name)).expect("a file");
        settings_text(&bytes).expect("a picture").expect("settings")
    };
    for name in ["line.png", "g.png", "g-1.png", "g-2.png"] {
        assert!(read(name).contains(&format!("Model hash: {UNET},")), "{name}: {}", read(name));
    }
    let embedded = read("embedded.png");
    assert!(embedded.contains(", Model: emoji-64,") && !embedded.contains("hash"), "{embedded}");
}
