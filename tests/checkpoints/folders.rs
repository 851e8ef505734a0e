//! diffusers folders with shards and variants.

use crate::{Shapes, fresh, zeros};
use croquis::files::shards::Folder;
use croquis::internal::weights::Weights;
use croquis::{ErrorKind, Result};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;

const WHOLE: &str = "diffusion_pytorch_model.safetensors";
const HALF: &str = "diffusion_pytorch_model.fp16.safetensors";
const INDEX: &str = "diffusion_pytorch_model.safetensors.index.json";
const FIRST: &str = "diffusion_pytorch_model-00001-of-00002.safetensors";
const SECOND: &str = "diffusion_pytorch_model-00002-of-00002.safetensors";

/// Reads the weights of a folder with these files.
fn read(files: &BTreeMap<&str, Vec<u8>>) -> Result<Weights> {
    let bytes = |file: &str| files.get(file).cloned().unwrap_or_default();
    let folder = Folder {
        name: "unet".into(),
        files: files.keys().map(|name| name.to_string()).collect(),
        open: &|file| Weights::from_bytes(format!("unet/{file}"), bytes(file)),
        read: &|file| Ok(bytes(file)),
    };
    folder.weights()
}

fn names(files: &BTreeMap<&str, Vec<u8>>) -> Vec<String> {
    read(files).expect("weights").names().map(String::from).collect()
}

/// A safetensors file with one tensor.
fn one(name: &str) -> Vec<u8> {
    zeros(&Shapes::from([(name.into(), vec![2])]))
}

fn index(files: &[(&str, &str)]) -> Vec<u8> {
    let map: BTreeMap<_, _> = files.iter().copied().collect();
    json!({ "metadata": { "total_size": 8 }, "weight_map": map }).to_string().into_bytes()
}

fn sharded() -> BTreeMap<&'static str, Vec<u8>> {
    let index = index(&[("a", FIRST), ("b", SECOND)]);
    BTreeMap::from([(INDEX, index), (FIRST, one("a")), (SECOND, one("b"))])
}

#[test]
fn the_best_file_is_taken() {
    let mut files = BTreeMap::from([
        ("config.json", Vec::new()),
        ("diffusion_pytorch_model.non_ema.safetensors", one("non_ema")),
    ]);
    assert_eq!(names(&files), ["non_ema"]);
    files.insert(HALF, one("fp16"));
    assert_eq!(names(&files), ["fp16"]);
    files.extend(sharded());
    assert_eq!(names(&files), ["a", "b"]);
    files.insert(WHOLE, one("whole"));
    assert_eq!(names(&files), ["whole"]);
    assert_eq!(names(&BTreeMap::from([("model.fp16.safetensors", one("text"))])), ["text"]);
}

#[test]
fn shards_of_a_variant() {
    let first = "model.fp16-00001-of-00001.safetensors";
    let files = BTreeMap::from([
        ("model.safetensors.index.fp16.json", index(&[("a", first)])),
        (first, one("a")),
    ]);
    assert_eq!(names(&files), ["a"]);
}

#[test]
fn shards_that_do_not_fit_their_index() {
    type Edit = fn(&mut BTreeMap<&'static str, Vec<u8>>);
    let cases: [(Edit, ErrorKind, &[&str]); 6] = [
        (|f| drop(f.remove(SECOND)), ErrorKind::NotFound, &["1 of 2 shards", SECOND]),
        (
            |f| f.retain(|name, _| *name == INDEX),
            ErrorKind::NotFound,
            &["2 of 2 shards", FIRST, SECOND],
        ),
        (
            |f| drop(f.insert(SECOND, one("c"))),
            ErrorKind::Format,
            &[INDEX, "holds c, which the index does not say"],
        ),
        (
            |f| drop(f.insert(INDEX, index(&[("a", FIRST), ("b", SECOND), ("c", SECOND)]))),
            ErrorKind::Format,
            &[INDEX, "expected c in", "does not hold it"],
        ),
        (
            |f| drop(f.insert(INDEX, b"{".to_vec())),
            ErrorKind::Format,
            &[INDEX, "expected an index"],
        ),
        (|f| drop(f.insert(INDEX, index(&[]))), ErrorKind::Format, &["an empty list"]),
    ];
    for (edit, kind, parts) in cases {
        let mut files = sharded();
        edit(&mut files);
        let error = read(&files).err().expect("refused");
        assert_eq!(error.kind(), kind, "{error}");
        for part in parts {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }
    // A shard outside of the folder is one that is missing.
    let outside = BTreeMap::from([(INDEX, index(&[("a", "../secret.safetensors")]))]);
    assert_eq!(read(&outside).err().map(|error| error.kind()), Some(ErrorKind::NotFound));
}

#[test]
fn pickles_only() {
    for pickle in ["diffusion_pytorch_model.bin", "pytorch_model.bin"] {
        let error = read(&BTreeMap::from([(pickle, Vec::new())])).err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        let message = error.to_string();
        assert!(message.contains(&format!("torch.load(\"unet/{pickle}\"")), "{message}");
        assert!(message.contains("model.safetensors\")"), "{message}");
        assert!(!message.contains("pytorch_model.safetensors") || pickle.starts_with("diff"));
    }
    let error = read(&BTreeMap::new()).err().expect("nothing");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

/// A folder on disk, opened through the driver.
#[test]
fn a_folder_on_the_disk() {
    let folder = fresh("sharded");
    fs::create_dir_all(folder.join("unet")).expect("a folder");
    fs::write(folder.join("model_index.json"), "{}").expect("a file");
    fs::write(folder.join("unet/config.json"), r#"{"_class_name": "UNet2DConditionModel"}"#)
        .expect("a file");
    fs::write(folder.join("scheduler_config.json"), "{}").expect("a file");
    fs::create_dir_all(folder.join("scheduler")).expect("a folder");
    fs::write(folder.join("scheduler/scheduler_config.json"), "{}").expect("a file");
    for (file, bytes) in sharded() {
        fs::write(folder.join("unet").join(file), bytes).expect("a file");
    }
    fs::remove_file(folder.join("unet").join(SECOND)).expect("a file");
    let files = croquis::files::ModelFiles::open(&folder).expect("a folder");
    let error = croquis::diffusion::Model::open(&files).err().expect("a missing shard");
    assert!(error.to_string().contains(SECOND), "{error}");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}
