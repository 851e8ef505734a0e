//! Random weights, streamed into a safetensors file.
//!
//! Activations stay of order one: weights of products have the variance 1/fan-in (LeCun et al.,
//! *Efficient BackProp*, 1998, section 4.6), gains of norms are near 1 and biases near 0, and both
//! embedding tables have the variance ½, since they are added. Sums over residual branches grow
//! with the root of their number, which norms undo.

use croquis::internal::random::Generator;
use half::f16;
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::io::{Result, Write};

/// Standard deviation of norm gains from 1, and of biases from 0.
const SMALL: f32 = 0.05;
/// Number of values in memory at a time.
const BLOCK: usize = 1 << 16;

/// The type of the weights in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Dtype {
    /// 16-bit floats
    F16,
    /// 32-bit floats
    F32,
}

impl Dtype {
    fn bytes(self) -> usize {
        match self {
            Dtype::F16 => 2,
            Dtype::F32 => 4,
        }
    }

    /// The type's name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F16 => "f16",
            Dtype::F32 => "f32",
        }
    }
}

/// The start of a safetensors file: the header's length and, as JSON, type, shape and offsets of
/// every tensor, padded to a multiple of 8 bytes.
pub fn header(weights: &BTreeMap<String, Vec<usize>>, dtype: Dtype) -> Vec<u8> {
    let mut entries = Map::new();
    entries.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut start = 0;
    for (name, shape) in weights {
        let end = start + shape.iter().product::<usize>() * dtype.bytes();
        let dtype = dtype.name().to_uppercase();
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]});
        entries.insert(name.clone(), entry);
        start = end;
    }
    let mut text = serde_json::Value::from(entries).to_string();
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.into_bytes());
    bytes
}

/// Writes the values of one tensor.
pub fn write_values(
    file: &mut impl Write,
    name: &str,
    shape: &[usize],
    dtype: Dtype,
    generator: &mut Generator,
) -> Result<()> {
    let (mean, deviation) = distribution(name, shape);
    let mut rest: usize = shape.iter().product();
    while rest > 0 {
        let count = rest.min(BLOCK);
        let values = generator.normal(count).into_iter().map(|z| mean + deviation * z);
        let bytes: Vec<u8> = match dtype {
            Dtype::F16 => values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect(),
            Dtype::F32 => values.flat_map(f32::to_le_bytes).collect(),
        };
        file.write_all(&bytes)?;
        rest -= count;
    }
    Ok(())
}

/// Mean and standard deviation of a tensor's values.
fn distribution(name: &str, shape: &[usize]) -> (f32, f32) {
    match shape {
        [_] if name.ends_with(".weight") => (1.0, SMALL),
        [_] => (0.0, SMALL),
        _ if name.ends_with("embedding.weight") => (0.0, std::f32::consts::FRAC_1_SQRT_2),
        [_, inputs @ ..] => (0.0, 1.0 / (inputs.iter().product::<usize>().max(1) as f32).sqrt()),
        [] => (0.0, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_moments_that_are_said() {
        for (name, shape, mean, deviation) in [
            ("conv.weight", &[64, 16, 3, 3][..], 0.0, 1.0 / 12.0),
            ("conv.depthwise.weight", &[4096, 1, 3, 3], 0.0, 1.0 / 3.0),
            ("time_embedding.linear_1.weight", &[300, 100], 0.0, 0.1),
            ("token_embedding.weight", &[300, 100], 0.0, 0.5f32.sqrt()),
            ("norm.weight", &[70_000], 1.0, 0.05),
            ("norm.bias", &[70_000], 0.0, 0.05),
        ] {
            let mut bytes = Vec::new();
            let mut generator = Generator::new(1);
            write_values(&mut bytes, name, shape, Dtype::F32, &mut generator).unwrap();
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
            assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
            let count = values.len() as f32;
            let average = values.iter().sum::<f32>() / count;
            let variance = values.iter().map(|v| (v - average).powi(2)).sum::<f32>() / count;
            assert!((average - mean).abs() < 0.03 * deviation, "{name}: mean {average}");
            assert!((variance.sqrt() / deviation - 1.0).abs() < 0.03, "{name}: {variance}");
        }
    }

    #[test]
    fn a_disk_that_is_full_is_told() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> Result<usize> {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> Result<()> {
                Ok(())
            }
        }
        let mut generator = Generator::new(0);
        let error = write_values(&mut Full, "a.weight", &[4, 4], Dtype::F16, &mut generator);
        assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    }
}
