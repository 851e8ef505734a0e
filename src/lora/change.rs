//! The patches of a layer: its tensors, read from a LoRA file.

use super::layer::{Change, Dora, Factor, Layer, Product};
use crate::error::{Error, ErrorKind, Result};
use crate::weights::{Axis, Delta, LowRank, Patch, Scaling, Weights};

/// The patch of a layer's weight, times `weight`. `scale` is the layer's own: alpha over rank.
///
/// A full difference and (IA)³ have no scale of their own. DoRA in peft's layout changes the norm by
/// the weight (`merge` of its `LoraLayer`); in LyCORIS' layout the weight is the share of the whole
/// change (`apply_dora_scale`, and AUTOMATIC1111).
///
/// # Errors
/// `Weights` if a value is not finite or shapes do not fit; or as [`Weights::values`].
pub(super) fn patch(
    file: &Weights,
    layer: &Layer,
    scale: f64,
    weight: f32,
) -> Result<Option<Patch>> {
    let Some(change) = &layer.change else { return Ok(None) };
    let whole = (scale * f64::from(weight)) as f32;
    let delta = match change {
        Change::Full(name) => {
            let delta = Delta::File(file.file_tensor(name)?);
            return Patch::new(Some(delta), weight, None).map(Some);
        }
        Change::Factors { values, on_input } => {
            let axis = match file.scalar(on_input)? {
                0.0 => Axis::Outputs,
                _ => Axis::Inputs,
            };
            let factors = file.read_f32(values)?.iter().map(|value| 1.0 + value * weight).collect();
            return Patch::new(None, 0.0, Some(Scaling::Factors(axis, factors))).map(Some);
        }
        // The product of a plain LoRA has the scale itself.
        Change::Product(product) if layer.dora.is_none() => {
            return Ok(Some(low_rank(file, product, whole)?.into()));
        }
        Change::Product(product) => Delta::LowRank(low_rank(file, product, 1.0)?),
        Change::Hadamard([one, other]) => Delta::Hadamard(Box::new([
            Delta::LowRank(low_rank(file, one, 1.0)?),
            Delta::LowRank(low_rank(file, other, 1.0)?),
        ])),
        Change::Kronecker([one, other]) => {
            Delta::Kronecker(Box::new([factor(file, one)?, factor(file, other)?]))
        }
    };
    let shape = delta.shape();
    let Some(dora) = &layer.dora else { return Patch::new(Some(delta), whole, None).map(Some) };
    let (Dora::Scale(name) | Dora::Magnitude(name)) = dora;
    let magnitudes = file.read_f32(name)?;
    let magnitudes_shape = file.shape(name).unwrap_or_default();
    let outputs = shape.map(|[outputs, _]| outputs);
    let by_inputs = match (dora, magnitudes_shape) {
        (Dora::Scale(_), [1, inputs, rest @ ..]) => {
            (outputs != Some(1) || *inputs != 1) && rest.iter().all(|&dim| dim == 1)
        }
        _ => false,
    };
    if !by_inputs && outputs != Some(magnitudes.len()) {
        let message = format!(
            "{name}: expected a magnitude for each of {} outputs or each input, got \
             {magnitudes_shape:?}",
            outputs.unwrap_or_default()
        );
        return Err(Error::new(ErrorKind::Weights, message));
    }
    let axis = if by_inputs { Axis::Inputs } else { Axis::Outputs };
    let magnitudes = magnitudes.into();
    let (scale, share, epsilon) = match dora {
        Dora::Scale(_) => (scale as f32, weight, f32::EPSILON),
        Dora::Magnitude(_) => (whole, 1.0, 0.0),
    };
    let scaling = Scaling::Magnitudes { axis, magnitudes, share, epsilon };
    Patch::new(Some(delta), scale, Some(scaling)).map(Some)
}

/// The patch of a layer's bias, times `weight`.
///
/// # Errors
/// As [`patch`].
pub(super) fn bias_patch(file: &Weights, name: &str, weight: f32) -> Result<Patch> {
    Patch::new(Some(Delta::File(file.file_tensor(name)?)), weight, None)
}

fn factor(file: &Weights, factor: &Factor) -> Result<Delta> {
    Ok(match factor {
        Factor::Whole(name) => Delta::File(file.file_tensor(name)?),
        Factor::Product(product) => Delta::LowRank(low_rank(file, product, 1.0)?),
    })
}

fn low_rank(file: &Weights, product: &Product, scale: f32) -> Result<LowRank> {
    let (mut up, mut down) = (file.read_f32(&product.up)?, file.read_f32(&product.down)?);
    if let Some(core) = &product.core {
        down = around_core(&file.read_f32(&core.name)?, &down, product.rank);
        if core.up_transposed {
            let columns = up.len() / product.rank;
            up = (0..up.len())
                .map(|at| up[at % product.rank * columns + at / product.rank])
                .collect();
        }
    }
    LowRank::new(up, down, product.rank, scale)
}

/// The lower matrix `[r, I·kh·kw]` of a Tucker decomposition with core t `[r, r, kh, kw]` and down b
/// `[r, I]`: Σⱼ t[i, j, k]·b[j, c].
fn around_core(core: &[f32], down: &[f32], rank: usize) -> Vec<f32> {
    let (taps, inputs) = (core.len() / (rank * rank), down.len() / rank);
    let mut out = Vec::with_capacity(rank * inputs * taps);
    for core in core.chunks_exact(rank * taps) {
        for input in 0..inputs {
            for tap in 0..taps {
                let terms = (0..rank).map(|j| core[j * taps + tap] * down[j * inputs + input]);
                out.push(terms.sum());
            }
        }
    }
    out
}
