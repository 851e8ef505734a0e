//! GGUF's element types against the Python package `gguf` (`tests/golden/make_gguf.py`).

use std::path::PathBuf;

use croquis::error::ErrorKind;
use croquis::internal::weights::{DataType, Values, WeightFormat, WeightLayout, Weights};

pub fn golden(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf").join(file)
}

/// The names of tensors whose values differ from the golden ones.
fn differing(weights: &Weights, golden: &Weights) -> Vec<String> {
    let differs = |name: &&str| {
        let bits = |weights: &Weights| -> Vec<u32> {
            weights.read_f32(name).unwrap().into_iter().map(f32::to_bits).collect()
        };
        weights.shape(name) != golden.shape(name) || bits(weights) != bits(golden)
    };
    golden.names().filter(differs).map(String::from).collect()
}

#[test]
fn every_type_is_what_ggml_makes_of_it() {
    let weights = Weights::open(golden("types.gguf")).unwrap();
    let values = Weights::open(golden("types.safetensors")).unwrap();
    assert_eq!(values.names().count(), 14);
    assert_eq!(differing(&weights, &values), [""; 0]);

    // One changed bit of a block is found.
    let mut bytes = std::fs::read(golden("types.gguf")).unwrap();
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    let damaged = Weights::from_bytes("damaged", bytes).unwrap();
    assert_eq!(differing(&damaged, &values).len(), 1);
}

#[test]
fn types_and_metadata_are_told() {
    let weights = Weights::open(golden("types.gguf")).unwrap();
    for (name, dtype, bytes) in [
        ("f32", "f32", 360),
        ("bf16", "bf16", 180),
        ("i32", "i32", 24),
        ("q4_0", "q4_0", 3 * 2 * 18),
        ("q6_k", "q6_k", 3 * 2 * 210),
    ] {
        assert_eq!(weights.dtype(name).unwrap().to_string(), dtype);
        assert_eq!(weights.bytes_in_file(name), Some(bytes), "{name}");
    }
    assert_eq!(weights.dtype("reshaped"), Some(DataType::Q4_0));
    assert_eq!(weights.shape("reshaped"), Some(&[8, 8, 3, 3][..]));
    assert_eq!((weights.dtype("no"), weights.bytes_in_file("no")), (None, None));
    let metadata = |key: &str| weights.metadata().get(key).map(String::as_str);
    assert_eq!(metadata("general.architecture"), Some("sd1"));
    assert_eq!(metadata("general.alignment"), Some("64"));
    assert_eq!(metadata("test.text"), Some("größer"));
    assert_eq!(metadata("test.float"), Some("1.5"));
    assert_eq!(metadata("test.bool"), Some("true"));
    assert_eq!(metadata("test.integer"), Some("-1099511627776"));
    assert_eq!(metadata("test.words"), None);
    let error = weights.read_f32("i32").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Weights);
    assert!(error.to_string().ends_with("got i32"), "{error}");
}

#[test]
fn any_range_is_read() {
    let weights = Weights::open(golden("types.gguf")).unwrap();
    for name in ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"] {
        let values = weights.values(name).unwrap();
        let all = weights.read_f32(name).unwrap();
        assert_eq!(values.len(), all.len());
        for start in [0, 1, 31, 32, 33, 100, all.len() - 1, all.len()] {
            for len in [0, 1, 31, 32, 70, 192, 600] {
                let mut out = vec![f32::NAN; len];
                values.read(start, &mut out);
                let wanted = &all[start..all.len().min(start + len)];
                assert_eq!(&out[..wanted.len()], wanted, "{name} {start} {len}");
                assert!(out[wanted.len()..].iter().all(|rest| rest.is_nan()));
            }
        }
    }
}

#[test]
fn quantised_weights_are_packed() {
    let weights = Weights::open(golden("types.gguf")).unwrap();
    let values = Weights::open(golden("types.safetensors")).unwrap();
    for format in WeightFormat::ALL {
        for name in ["q4_0", "q5_k"] {
            let packed = weights.pack(name, WeightLayout::Matrix, format).unwrap();
            assert!(packed == values.pack(name, WeightLayout::Matrix, format).unwrap(), "{name}");
        }
        let packed = weights.pack("reshaped", WeightLayout::Conv, format).unwrap();
        assert!(packed == values.pack("reshaped", WeightLayout::Conv, format).unwrap());
    }
}

#[test]
fn values_need_a_type_that_can_be_read() {
    assert!(Values::new(DataType::I64, &[0; 8]).is_none());
    // An incomplete block has no values.
    let values = Values::new(DataType::Q8_0, &[0; 67]).unwrap();
    assert_eq!(values.len(), 32);
    let mut out = [1.0; 2];
    values.read(31, &mut out);
    assert_eq!(out, [0.0, 1.0]);
}
