//! Choices of variants: a table from what is computed to the name of a variant, as a tuner measures
//! it. Without an entry, the first variant of a kernel's list is taken.

use super::epilogue::{Epilogue, operand};
use super::{Launch, Op, Operands, given, present};
use crate::shape::{Storage, TensorType};
use crate::weights::WeightFormat;
use std::collections::BTreeMap;

/// Names of variants by [key](key).
pub type Choices = BTreeMap<String, String>;

/// The key of an operation in [`Choices`]: kernel, storage type, shape class and attributes that
/// change the work, separated by spaces.
///
/// `matmul packed 4096x320x320 bias+silu` is a product of M = 4096 rows, K = 320 and N = 320 columns.
/// A weight format other than the storage type's own follows it: `packed/f32`.
pub fn key(
    op: &Op,
    operands: Operands,
    output: TensorType,
    storage: Storage,
    weight: Option<WeightFormat>,
) -> String {
    let mut key = format!("{} {storage}", op.name());
    if let Some(format) = weight.filter(|format| *format != WeightFormat::from(storage)) {
        key += &format!("/{format}");
    }
    let (rows, channels) = (output.shape.rows(), output.shape.channels());
    let sizes: Vec<Option<TensorType>> = operands.iter().copied().take(2).collect();
    match op {
        Op::MatMul(matmul) => {
            let [x, _] = given(&sizes);
            key += &format!(" {rows}x{}x{channels}", x.shape.channels());
            key += &epilogue(&matmul.epilogue, operands);
        }
        Op::Conv2d(conv) => {
            let [x, weight] = given(&sizes);
            let (kernel, stride) = (&weight.shape.dims()[2..], conv.stride);
            let depth = kernel[0] * kernel[1] * x.shape.channels();
            key += &format!(" {rows}x{depth}x{channels} {}x{}", kernel[0], kernel[1]);
            if stride != 1 {
                key += &format!(" stride-{stride}");
            }
            if conv.upsample.is_some() {
                key += " upsampled";
            }
            key += &epilogue(&conv.epilogue, operands);
        }
        Op::Attention(attention) => {
            let [q, k] = given(&sizes);
            let (queries, keys) = (rows / q.shape.batch(), k.shape.rows() / k.shape.batch());
            let (batch, heads) = (q.shape.batch(), attention.heads);
            key += &format!(" {}x{queries}x{keys}x{}", batch * heads, channels / heads);
            key += &format!(" {:?}", attention.form).to_lowercase();
            if attention.causal {
                key += " causal";
            }
        }
        _ => key += &format!(" {rows}x{channels}"),
    }
    key
}

/// The epilogue of a product, as `bias+silu`; nothing for none.
fn epilogue(epilogue: &Epilogue, operands: Operands) -> String {
    let parts =
        [(operand::BIAS, "bias"), (operand::CHANNEL_ADD, "add"), (operand::RESIDUAL, "residual")];
    let mut words: Vec<String> = parts
        .into_iter()
        .filter(|(index, _)| present(operands, *index))
        .map(|(_, word)| word.into())
        .collect();
    words.extend(epilogue.activation.map(|function| function.name().into()));
    words.extend(epilogue.gated.then(|| "gated".into()));
    if words.is_empty() { String::new() } else { format!(" {}", words.join("+")) }
}

/// The variant that a table names for a key, else the first.
pub(super) fn choose(mut variants: Vec<Launch>, choices: &Choices, key: &str) -> Launch {
    let chosen = choices.get(key).and_then(|name| {
        let position = variants.iter().position(|launch| launch.variant == *name);
        if position.is_none() {
            let names: Vec<_> = variants.iter().map(|launch| launch.variant.as_str()).collect();
            let expected = names.join(", ");
            log::warn!("{key}: expected one of the variants {expected}, got {name}; it is ignored");
        }
        position
    });
    variants.swap_remove(chosen.unwrap_or(0))
}
