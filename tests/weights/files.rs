//! safetensors files, valid and damaged.

use croquis::error::{ErrorKind, Result};
use croquis::internal::weights::{Source, WeightFormat, WeightLayout, Weights, packed_len};

use crate::{Random, file, fuzz, tensors};

fn open(bytes: Vec<u8>) -> Result<Weights> {
    Weights::from_bytes("m.safetensors", bytes)
}

#[test]
fn bad_files_are_explained() {
    let entry = |name: &str, dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let good = tensors(&[("w", "F32", &[2], vec![0; 8])]);
    let mut long_header = good.clone();
    long_header[..8].copy_from_slice(&9_000_000u64.to_le_bytes());
    let mut huge_header = good.clone();
    huge_header[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "truncated: expected at least 8 bytes, got 0"),
        (good[..5].to_vec(), "truncated: expected at least 8 bytes, got 5"),
        (good[..20].to_vec(), "truncated: expected a header of"),
        (good[..good.len() - 1].to_vec(), "truncated: expected 8 bytes of tensors, got 7"),
        ([&good[..], &[0]].concat(), "damaged: 1 bytes after the last tensor"),
        (long_header, "truncated: expected a header of 9000000 bytes"),
        (huge_header, "not a safetensors file: expected a header of at most 16777216 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid".to_vec(), "run `git lfs pull`"),
        (b"PK\x03\x04archive/data.pkl".to_vec(), "got a PyTorch pickle"),
        (file("{\"w\":", &[]), "the header is not a JSON object"),
        (file("[]", &[]), "the header is not a JSON object"),
        (file("{\"w\":3}", &[]), "w: damaged header"),
        (file(&entry("w", "F32", "[-1]", "[0,4]"), &[0; 4]), "w: damaged header"),
        (file(&entry("w", "F32", "[1]", "[0]"), &[0; 4]), "w: damaged header"),
        (file(&entry("w", "Q4_K", "[1]", "[0,4]"), &[0; 4]), "w: expected f32, f16 or bf16, got"),
        (file(&entry("w", "F32", "[1]", "[4,8]"), &[0; 8]), "w: damaged header: expected its data"),
        (file(&entry("w", "F32", "[1]", "[8,4]"), &[0; 8]), "w: damaged header"),
        (file(&entry("w", "F32", "[3]", "[0,8]"), &[0; 8]), "F32 [3] does not fit in 8 bytes"),
        (file(&entry("w", "F32", "[2]", "[0,8]"), &[0; 4]), "truncated: expected 8 bytes"),
        (
            file(&entry("w", "F32", "[4294967296,4294967296,4294967296]", "[0,8]"), &[0; 8]),
            "does not fit in 8 bytes",
        ),
        (
            file(&entry("w", "F32", "[1]", "[18446744073709551615,3]"), &[0; 8]),
            "w: damaged header: expected its data to start at 0",
        ),
    ];
    let mut wrong = Vec::new();
    for (bytes, message) in cases {
        match open(bytes) {
            Ok(_) => wrong.push(format!("want {message}, got weights")),
            Err(error) => {
                let text = error.to_string();
                if error.kind() != ErrorKind::Format
                    || !text.starts_with("m.safetensors: ")
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
fn unusable_tensors_are_named_when_read() {
    // Integers are in real files (CLIP's position_ids) and do no harm until they are used.
    let file = tensors(&[("ids", "I64", &[1], vec![0; 8]), ("w", "F64", &[1], vec![0; 8])]);
    let weights = open(file).unwrap();
    for (name, message) in [
        (
            "ids",
            "m.safetensors: ids: expected f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1 or q2_k to \
             q6_k, got i64",
        ),
        (
            "w",
            "m.safetensors: w: expected f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1 or q2_k to \
             q6_k, got f64",
        ),
        ("v", "m.safetensors: expected a tensor v, got none of that name"),
    ] {
        for error in [
            weights.read_f32(name).unwrap_err(),
            weights.values(name).err().unwrap(),
            weights.pack(name, WeightLayout::Vector, WeightFormat::F16).unwrap_err(),
        ] {
            assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::Weights, message));
        }
    }
    assert_eq!(weights.shape("v"), None);
    assert_eq!(weights.names().collect::<Vec<_>>(), ["ids", "w"]);
}

#[test]
fn paths_are_explained() {
    let folder = std::env::temp_dir();
    let error = Weights::open(folder.join("no-such-file.safetensors")).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let text = error.to_string();
    assert!(text.contains("no-such-file.safetensors: no such file") && text.contains("check"));
    let error = Weights::open(&folder).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("cannot read the file"));

    let path = folder.join(format!("croquis-weights-{}.safetensors", std::process::id()));
    std::fs::write(&path, []).unwrap();
    let empty = Weights::open(&path).err().unwrap();
    std::fs::write(&path, tensors(&[("w", "F32", &[1], 2f32.to_le_bytes().into())])).unwrap();
    let mapped = Weights::open(&path).unwrap().read_f32("w").unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(empty.kind(), ErrorKind::Format, "{empty}");
    assert_eq!(mapped, [2.0]);
}

#[test]
fn shards_and_prefixes() {
    let one = |name: &str, value: f32| {
        let bytes = tensors(&[(name, "F32", &[1], value.to_le_bytes().into())]);
        Weights::from_bytes(format!("{name}.st"), Source::from(bytes)).unwrap()
    };
    let both = one("text_model.a", 1.0).merge(one("b", 2.0)).unwrap();
    let both = both.without_prefix("text_model.").unwrap();
    assert_eq!(both.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((both.read_f32("a").unwrap()[0], both.read_f32("b").unwrap()[0]), (1.0, 2.0));

    let error = one("a", 1.0).merge(one("a", 2.0)).err().unwrap();
    assert_eq!(error.to_string(), "a: expected in one file, got it in a.st and a.st");
    let twice = one("a", 1.0).merge(one("x.a", 2.0)).unwrap();
    let error = twice.without_prefix("x.").err().unwrap();
    assert!(error.to_string().contains("expected a either with or without"), "{error}");
}

#[test]
fn the_embedded_model_is_read() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/emoji-64");
    let weights = Weights::open(root.join("unet/diffusion_pytorch_model.safetensors")).unwrap();
    let mut parameters = 0;
    for name in weights.names() {
        let shape = weights.shape(name).unwrap();
        let layout = match shape {
            [_] => WeightLayout::Vector,
            [_, _] | [_, _, 1, 1] => WeightLayout::Matrix,
            [_, 1, _, _] => WeightLayout::Depthwise,
            _ => WeightLayout::Conv,
        };
        parameters += weights.read_f32(name).unwrap().len();
        let packed = weights.pack(name, layout, WeightFormat::F16).unwrap();
        assert_eq!(packed.len(), 2 * packed_len(shape, layout).unwrap(), "{name}");
    }
    assert_eq!(parameters / 10_000, 1176);
}

#[test]
fn damaged_headers_never_panic() {
    let mut random = Random(0x5eed);
    let good = tensors(&[
        ("a.weight", "F32", &[5, 3], vec![1; 60]),
        ("b.weight", "F16", &[2, 1, 3, 3], vec![2; 36]),
        ("c", "BF16", &[7], vec![3; 14]),
        ("d", "I64", &[0, 9], Vec::new()),
    ]);
    let header = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize + 8;
    let (mut opened, mut refused) = (0, 0);
    fuzz::rounds(20_000, || {
        let Ok(weights) = open(fuzz::mutated(&good, header, &mut random)) else {
            refused += 1;
            return;
        };
        opened += 1;
        fuzz::read_all(weights, &mut random);
    });
    // The mutations must reach both sides.
    assert!(opened > 100 && refused > 1000, "{opened} opened, {refused} refused");
}

#[test]
fn tensors_of_values_in_memory() {
    let values: Vec<f32> = (0..6).map(|v| v as f32 / 4.0).collect();
    let tensors = |shape: &[usize]| [("a.b".to_string(), (shape.to_vec(), values.clone()))].into();
    let weights = Weights::from_f32(&tensors(&[2, 3])).unwrap();
    assert_eq!(weights.shape("a.b"), Some(&[2, 3][..]));
    assert_eq!(weights.read_f32("a.b").unwrap(), values);
    let error = Weights::from_f32(&tensors(&[2, 4])).err().expect("eight values, not six");
    assert_eq!(error.kind(), ErrorKind::Weights);
    assert!(error.to_string().starts_with("a.b: "), "{error}");
}
