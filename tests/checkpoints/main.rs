//! Models in the forms in use: single files of several families, folders with shards and variants,
//! and forms that are refused.

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

/// Weight shapes by name.
type Shapes = BTreeMap<String, Vec<usize>>;

/// Reads a list of names and shapes from `tests/golden/names`.
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

/// A path for one test's folder or file; whatever was there is removed.
fn fresh(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("checkpoints-{name}"));
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// The header of an f16 safetensors file, its length before it, and the number of data bytes.
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

/// Writes a sparse file of zeros: only its header takes disk space.
fn sparse(path: &Path, shapes: &Shapes) {
    let (header, data) = header(shapes);
    let mut file = File::create(path).expect("a new file");
    file.write_all(&header).expect("the header");
    file.set_len(header.len() as u64 + data).expect("the zeros");
}

/// The same file in memory.
fn zeros(shapes: &Shapes) -> Vec<u8> {
    let (mut bytes, data) = header(shapes);
    bytes.resize(bytes.len() + data as usize, 0);
    bytes
}

/// A smaller model: every dimension but those of kernels, latents and positions is divided by ten.
fn shrunk(shapes: &Shapes) -> Shapes {
    divided(shapes, 10)
}

/// A smaller model by another divisor; dimensions divisible by six stay so, such as those of XL's
/// time ids or of query, key and value in one matrix.
fn divided(shapes: &Shapes, divisor: usize) -> Shapes {
    let size = |&size: &usize| match size {
        0..=77 => size,
        _ => size.div_ceil(divisor).next_multiple_of(6),
    };
    shapes.iter().map(|(name, shape)| (name.clone(), shape.iter().map(size).collect())).collect()
}
