//! Models in the forms in which people have them: single files of several families, folders in
//! shards and variants, and everything that is refused.

#[path = "../common/mod.rs"]
mod common;
mod damaged;
mod families;
mod folders;
mod golden;
mod lora;
mod names;
mod parts;
mod single;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

/// Names and shapes.
type Shapes = BTreeMap<String, Vec<usize>>;

/// A list of `tests/golden/names`.
fn list(name: &str) -> Shapes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/names");
    let file = File::open(path.join(format!("{name}.txt.gz"))).expect(name);
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect(name);
    let line = |line: &str| {
        let (name, shape) = line.split_once(' ').unwrap_or((line, ""));
        let sizes = shape.split(',').filter(|size| !size.is_empty());
        (name.to_string(), sizes.map(|size| size.parse().expect(size)).collect())
    };
    text.lines().map(line).collect()
}

/// A folder or file name of a test's own, where nothing is yet.
fn fresh(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("checkpoints-{name}"));
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// The header of a safetensors file of halves, its length before it, and the bytes of the data.
fn header(shapes: &Shapes) -> (Vec<u8>, u64) {
    let (mut text, mut end) = (String::from("{"), 0);
    for (name, shape) in shapes {
        let start = end;
        end += 2 * shape.iter().product::<usize>() as u64;
        let comma = if text.len() > 1 { "," } else { "" };
        let offsets = format!("[{start},{end}]");
        write!(
            text,
            r#"{comma}"{name}":{{"dtype":"F16","shape":{shape:?},"data_offsets":{offsets}}}"#
        )
        .expect("a string");
    }
    text.push('}');
    ([&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat(), end)
}

/// A file of zeros, which takes no room on the disk: only its header is written.
fn sparse(path: &Path, shapes: &Shapes) {
    let (header, data) = header(shapes);
    let mut file = File::create(path).expect("a new file");
    file.write_all(&header).expect("the header");
    file.set_len(header.len() as u64 + data).expect("the zeros");
}

/// The same in memory.
fn zeros(shapes: &Shapes) -> Vec<u8> {
    let (mut bytes, data) = header(shapes);
    bytes.resize(bytes.len() + data as usize, 0);
    bytes
}

/// A smaller model: every size but those of kernels, latents and positions divided by ten.
fn shrunk(shapes: &Shapes) -> Shapes {
    divided(shapes, 10)
}

/// The same with another divisor; what was a multiple of six, such as six sizes of a picture in
/// XL's inputs or the rows of three matrices, stays one.
fn divided(shapes: &Shapes, divisor: usize) -> Shapes {
    let size = |&size: &usize| match size {
        0..=77 => size,
        _ => size.div_ceil(divisor).next_multiple_of(6),
    };
    shapes.iter().map(|(name, shape)| (name.clone(), shape.iter().map(size).collect())).collect()
}
