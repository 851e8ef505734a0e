//! A file that somebody changes while it is open: an error, where a mapped file would end the process.

use super::{encode, tensors};
use croquis::ErrorKind;
use croquis::internal::weights::{Delta, Patch, WeightFormat, WeightLayout, Weights};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file with a large and a small tensor.
fn file(name: &str) -> PathBuf {
    let values: Vec<f32> = (0..70 * 3000).map(|v| v as f32 / 1024.0).collect();
    let bytes = tensors(&[
        ("a.weight", "F32", &[70, 3000], encode("F32", &values).0),
        ("b", "F16", &[4], encode("F16", &values[..4]).0),
        ("n", "I64", &[1], 7i64.to_le_bytes().to_vec()),
    ]);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).expect("the file");
    path
}

fn refused<T>(result: croquis::Result<T>, expected: &str) {
    let error = result.err().expect("the file changed");
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(error.to_string().contains("the file changed while it was in use"), "{error}");
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_truncated_file_is_an_error() {
    let path = file("truncated.safetensors");
    let weights = Weights::open(&path).expect("a good file");
    let pack = || weights.pack("a.weight", WeightLayout::Matrix, WeightFormat::F32);
    let before = pack().expect("the file is whole");
    let length = fs::metadata(&path).expect("the file").len();
    OpenOptions::new().write(true).open(&path).expect("the file").set_len(length / 2).expect("cut");
    refused(pack(), "");
    refused(weights.read_f32("b"), "");
    refused(weights.scalar("n"), "");
    // A new file under the name is another one.
    fs::remove_file(&path).expect("the file goes");
    let again = Weights::open(file("truncated.safetensors")).expect("a good file");
    let same = again.pack("a.weight", WeightLayout::Matrix, WeightFormat::F32);
    assert_eq!(same.expect("the file is whole"), before);
}

#[test]
fn a_truncated_file_of_a_patch_is_the_one_that_is_named() {
    let base = file("patched-base.safetensors");
    let added = file("patched-added.safetensors");
    let mut weights = Weights::open(&base).expect("a good file");
    let change = Weights::open(&added).expect("a good file").file_tensor("a.weight");
    let patch = Patch::new(Some(Delta::File(change.expect("a tensor"))), 1.0, None);
    weights.set_patches([("a.weight".into(), vec![patch.expect("a patch")])].into()).expect("fits");
    let pack = || weights.pack("a.weight", WeightLayout::Matrix, WeightFormat::F32);
    pack().expect("both files are whole");
    OpenOptions::new().write(true).open(&added).expect("the file").set_len(100).expect("cut");
    refused(pack(), "patched-added.safetensors");
}

#[test]
fn a_file_that_is_written_to_is_an_error() {
    let path = file("written.safetensors");
    let weights = Weights::open(&path).expect("a good file");
    weights.read_f32("b").expect("the file is whole");
    // Times of files have steps of some milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let mut file = OpenOptions::new().write(true).open(&path).expect("the file");
    file.write_all(&[0; 4]).expect("it is written to");
    refused(weights.read_f32("b"), "it was written to");
}

#[test]
fn a_file_that_is_replaced_stays_what_it_was() {
    let path = file("replaced.safetensors");
    let weights = Weights::open(&path).expect("a good file");
    let before = weights.read_f32("b").expect("the file is whole");
    let other = file("replacement.safetensors");
    fs::write(&other, "nothing").expect("a file");
    fs::rename(&other, &path).expect("it takes the name");
    assert_eq!(weights.read_f32("b").expect("the open file is the old one"), before);
}
