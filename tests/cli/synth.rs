//! Model folders with random weights.

use super::{croquis, fresh, text};
use croquis::Storage;
use croquis::diffusion::{Model, Request};
use croquis::files::ModelFiles;
use croquis::internal::kernels::Target;
use std::fs;
use std::path::Path;

/// Writes a model folder with `croquis synth`.
fn synth(preset: &str, folder: &Path, more: &[&str]) {
    let arguments = [&["synth", preset, text(folder)], more].concat();
    let run = croquis(&arguments).success();
    assert_eq!(run.out.trim(), text(folder));
    assert!(run.err.contains(&format!("{preset}: ")) && run.err.contains("random weights"));
}

/// All files of a folder with their contents.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for part in fs::read_dir(folder).expect("a folder") {
        let part = part.expect("an entry").path();
        let inner = if part.is_dir() { contents(&part) } else { Vec::new() };
        if part.is_file() {
            files.push((text(&part).to_string(), fs::read(&part).expect("a file")));
        }
        files.extend(inner);
    }
    let shorten = |path: String| path.replacen(text(folder), "", 1);
    files = files.into_iter().map(|(path, bytes)| (shorten(path), bytes)).collect();
    files.sort();
    files
}

#[test]
fn synthesised_models_draw() {
    let full: &[&str] = &["--storage-dtype", "f32"];
    for (preset, more) in [("sd15-tiny", full), ("sd21-tiny", &[]), ("sdxl-tiny", &[])] {
        let folder = fresh(&format!("synth-{preset}"));
        synth(preset, &folder, more);
        let model = Model::open(&ModelFiles::folder(&folder).expect("a folder")).expect("a model");
        let plans = model.plans(&Request::new("a tree"), &Target::webgpu(Storage::F32));
        assert!(!plans.expect("plans").is_empty());
        let picture = folder.join("picture.png");
        let arguments = ["txt2img", "a tree", "--steps", "1", "--model", text(&folder)];
        croquis(&[&arguments[..], &["--seed", "1", "-o", text(&picture)]].concat()).success();
        assert!(fs::metadata(picture).expect("a picture").len() > 0);
    }
}

#[test]
fn the_emoji_preset_is_planned_as_the_embedded_model() {
    let folder = fresh("synth-emoji");
    synth("emoji-64", &folder, &[]);
    let plans = |files: &ModelFiles| {
        let model = Model::open(files).expect("a model");
        let plans = model.plans(&Request::new("a tree").steps(2), &Target::webgpu(Storage::F16));
        let plans = plans.expect("plans").into_iter();
        plans.map(|(name, plan)| (name, plan.to_string())).collect::<Vec<_>>()
    };
    let own = plans(&ModelFiles::folder(&folder).expect("a folder"));
    let embedded = plans(&ModelFiles::embedded());
    assert_eq!(own.len(), embedded.len());
    for ((name, own), (_, embedded)) in own.iter().zip(&embedded) {
        assert!(own == embedded, "the plan of {name} differs");
    }
}

#[test]
fn the_same_seed_writes_the_same_bytes() {
    let [first, second, other] = ["a", "b", "c"].map(|name| fresh(&format!("synth-seed-{name}")));
    synth("sd15-tiny", &first, &["--seed", "7"]);
    synth("sd15-tiny", &second, &["--seed", "7"]);
    synth("sd15-tiny", &other, &["--seed", "8"]);
    let [first, second, other] = [first, second, other].map(|folder| contents(&folder));
    assert_eq!(first.len(), 12);
    assert!(first == second);
    for ((path, first), (_, other)) in first.iter().zip(&other) {
        assert_eq!(first != other, path.ends_with(".safetensors"), "{path}");
    }
}

#[test]
fn what_cannot_be_written_is_told() {
    let folder = fresh("synth-full");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("precious"), "data").expect("a file");
    let run = croquis(&["synth", "sd15-tiny", text(&folder)]);
    assert_eq!(run.complaint(1, &["synth-full: expected an empty folder"]), None);
    assert_eq!(contents(&folder).len(), 1);

    let below = folder.join("precious/model");
    let run = croquis(&["synth", "sd15-tiny", text(&below)]);
    assert_eq!(run.complaint(1, &["precious/model", "cannot be written"]), None);

    let run = croquis(&["synth", "sd99", text(&folder)]);
    assert_eq!(run.complaint(2, &["'sd99'", "mobilediffusion-lite", "sdxl"]), None);
}
