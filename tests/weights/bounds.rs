//! Headers that would take minutes or gigabytes: refused by their size.

use croquis::ErrorKind;
use croquis::internal::weights::Weights;
use std::time::{Duration, Instant};

fn refused(what: &str, bytes: Vec<u8>, expected: &str) {
    let started = Instant::now();
    let error = Weights::from_bytes("file", bytes).err().unwrap_or_else(|| panic!("{what}"));
    assert_eq!(error.kind(), ErrorKind::Format, "{what}: {error}");
    assert!(error.to_string().contains(expected), "{what}: {error}");
    let took = started.elapsed();
    assert!(took < Duration::from_secs(20), "{what} took {took:?}");
}

/// A safetensors file of so many tensors without elements.
fn empty_tensors(count: usize) -> Vec<u8> {
    let mut header = String::from("{");
    for index in 0..count {
        let comma = if index == 0 { "" } else { "," };
        header +=
            &format!(r#"{comma}"t{index}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#);
    }
    header.push('}');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    bytes
}

#[test]
fn huge_headers_are_refused() {
    let many = empty_tensors(1_400_000);
    assert!(many.len() > 80_000_000);
    refused("80 MB of tensors", many, "expected a header of at most 16777216 bytes, got 8");
    refused("100,000 tensors", empty_tensors(100_000), "at most 65536 tensors, got 100000");
    assert!(Weights::from_bytes("file", empty_tensors(60_000)).is_ok());
}

#[test]
fn huge_gguf_headers_are_refused() {
    let start = |tensors: u64, pairs: u64| {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(pairs.to_le_bytes());
        bytes
    };
    refused("tensors", start(u64::MAX, 0), "at most 65536 tensors");
    refused("metadata", start(0, 1 << 40), "at most 65536 metadata");
    // One value: an array of 9 million empty strings.
    let mut strings = start(0, 1);
    strings.extend(1u64.to_le_bytes());
    strings.push(b'k');
    strings.extend([9, 0, 0, 0, 8, 0, 0, 0]);
    strings.extend(9_000_000u64.to_le_bytes());
    strings.resize(strings.len() + 9_000_000 * 8, 0);
    refused("strings", strings, "a header of at most 67108864 bytes");
}
