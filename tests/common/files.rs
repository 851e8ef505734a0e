//! safetensors files in memory.

use std::fmt::Write;

/// A safetensors file with this header and data.
pub fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// A safetensors file with tensors (name, element type, shape, bytes) and metadata, a JSON object.
pub fn tensors(tensors: &[(&str, &str, &[usize], Vec<u8>)], metadata: &str) -> Vec<u8> {
    let (mut header, mut data) = (format!(r#"{{"__metadata__":{metadata}"#), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let (start, end) = (data.len(), data.len() + bytes.len());
        write!(
            header,
            r#","{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        )
        .unwrap();
        data.extend_from_slice(bytes);
    }
    header.push('}');
    file(&header, &data)
}
