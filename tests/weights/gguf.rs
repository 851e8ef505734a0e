//! Damaged GGUF files.

use croquis::error::ErrorKind;
use croquis::internal::weights::Weights;

use crate::fuzz::{self, Random};
use crate::quantised::golden;

/// A GGUF file under construction: metadata and one tensor.
struct Gguf {
    version: u32,
    metadata: Vec<(&'static str, u32, Vec<u8>)>,
    tensors: Vec<(&'static str, Vec<u64>, u32, u64)>,
    data: Vec<u8>,
}

impl Gguf {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.metadata.len() as u64).to_le_bytes());
        let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        for (key, kind, value) in &self.metadata {
            bytes.extend(text(key));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(value);
        }
        for (name, dims, kind, offset) in &self.tensors {
            bytes.extend(text(name));
            bytes.extend((dims.len() as u32).to_le_bytes());
            bytes.extend(dims.iter().flat_map(|dim| dim.to_le_bytes()));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(&self.data);
        bytes
    }
}

fn good() -> Gguf {
    let tensors = vec![("w", vec![3, 2], 0, 0)];
    Gguf { version: 3, metadata: Vec::new(), tensors, data: vec![0; 24] }
}

#[test]
fn both_versions_are_read() {
    for version in [2, 3] {
        let bytes = Gguf { version, ..good() }.bytes();
        let weights = Weights::from_bytes("m", bytes).unwrap();
        assert_eq!(weights.shape("w"), Some(&[2, 3][..]));
    }
    // Types that are only named do no harm until they are read.
    let tensors = vec![("w", vec![256], 21, 0)];
    let weights = Weights::from_bytes("m", Gguf { tensors, data: vec![0; 110], ..good() }.bytes());
    let error = weights.unwrap().read_f32("w").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Weights);
    assert!(error.to_string().starts_with("m: w: expected f32"), "{error}");
    assert!(error.to_string().ends_with("got iq3_s"), "{error}");
}

#[test]
fn bad_files_are_explained() {
    let tensor = |dims: &[u64], kind: u32, offset: u64| {
        let tensors = vec![("w", dims.to_vec(), kind, offset)];
        Gguf { tensors, ..good() }.bytes()
    };
    let metadata = |key: &'static str, kind: u32, value: &[u8]| {
        Gguf { metadata: vec![(key, kind, value.to_vec())], ..good() }.bytes()
    };
    let array = |kind: u32, count: u64| [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
    let original = |dims: [i32; 2]| {
        let dims = dims.iter().flat_map(|dim| dim.to_le_bytes());
        [array(5, 2), dims.collect()].concat()
    };
    let mut nested = Vec::new();
    (0..9).for_each(|_| nested.extend(array(9, 1)));
    let whole = good().bytes();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Gguf { version: 1, ..good() }.bytes(), "version 2 or 3, got version 1"),
        (Gguf { version: 3 << 24, ..good() }.bytes(), "got a big-endian one"),
        (whole[..6].to_vec(), "truncated: expected the version of 4 bytes at 4, got 2"),
        (whole[..30].to_vec(), "truncated: expected the name of a tensor of 8 bytes at 24, got 6"),
        (whole[..whole.len() - 1].to_vec(), "w: truncated: expected 24 bytes of f32 [2, 3] at 0"),
        (tensor(&[1; 5], 0, 0), "w: expected at most 4 dimensions, got 5"),
        (tensor(&[3], 4, 0), "w: expected a type that ggml knows, got number 4"),
        (tensor(&[48], 8, 0), "w: expected rows of a multiple of 32 for q8_0, got 48"),
        (tensor(&[1 << 40, 1 << 40], 0, 0), "is too large"),
        (tensor(&[1 << 62], 0, 0), "is too large"),
        (tensor(&[6], 0, u64::MAX), "w: truncated"),
        (tensor(&[6], 0, 1), "w: truncated"),
        (
            Gguf { tensors: vec![("w", vec![3], 0, 0), ("w", vec![3], 0, 12)], ..good() }.bytes(),
            "w: expected one tensor of that name, got several",
        ),
        (
            Gguf { tensors: vec![("w", vec![3], 0, 0), ("v", vec![3], 0, 8)], ..good() }.bytes(),
            "v: damaged: its data overlap another tensor's",
        ),
        (metadata("k", 13, &[]), "k: damaged: expected a type of 0 to 12, got 13"),
        (metadata("k", 8, &u64::MAX.to_le_bytes()), "truncated: expected k of"),
        (metadata("k", 9, &array(10, u64::MAX)), "truncated: expected k of"),
        (metadata("k", 9, &array(8, u64::MAX)), "truncated: expected k of"),
        (metadata("k", 9, &nested), "k: expected arrays of at most 4 levels"),
        (metadata("k", 8, &[1, 0, 0, 0, 0, 0, 0, 0, 255]), "damaged: k is not UTF-8"),
        (metadata("general.alignment", 4, &[0; 4]), "expected a power of two, got 0"),
        (metadata("general.alignment", 4, &[48, 0, 0, 0]), "expected a power of two, got 48"),
        (
            metadata("comfy.gguf.orig_shape.w", 9, &original([2, 2])),
            "w: expected an original shape of as many elements as [2, 3], got [2, 2]",
        ),
        (metadata("comfy.gguf.orig_shape.w", 9, &original([-2, -3])), "got [-2, -3]"),
    ];
    let mut wrong = Vec::new();
    for (bytes, message) in cases {
        match Weights::from_bytes("m.gguf", bytes) {
            Ok(_) => wrong.push(format!("want {message}, got weights")),
            Err(error) => {
                let text = error.to_string();
                if error.kind() != ErrorKind::Format
                    || !text.starts_with("m.gguf: ")
                    || !text.contains(message)
                {
                    wrong.push(format!("want {message}, got {error:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn damaged_headers_never_panic() {
    let whole = std::fs::read(golden("types.gguf")).unwrap();
    let header = whole.windows(4).rposition(|window| window == b"q6_k").unwrap() + 40;
    let small = Gguf {
        metadata: vec![("a", 8, [vec![1, 0, 0, 0, 0, 0, 0, 0], vec![65]].concat())],
        tensors: vec![("w", vec![32, 2], 8, 0), ("v", vec![2, 2, 1, 3], 1, 68)],
        data: vec![1; 68 + 24],
        ..good()
    };
    let small = small.bytes();
    let mut random = Random(0x5eed);
    let (mut opened, mut refused) = (0, 0);
    fuzz::rounds(20_000, || {
        let bytes = match random.below(8) {
            0 => fuzz::mutated(&whole, header, &mut random),
            _ => fuzz::mutated(&small, small.len() - 92, &mut random),
        };
        let Ok(weights) = Weights::from_bytes("m", bytes) else {
            refused += 1;
            return;
        };
        opened += 1;
        fuzz::read_all(weights, &mut random);
    });
    // The mutations must reach both sides.
    assert!(opened > 500 && refused > 1000, "{opened} opened, {refused} refused");
}
