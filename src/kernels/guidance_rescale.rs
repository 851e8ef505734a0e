//! The factor of a guided output that gives it back a part of the conditional output's contrast: Lin et
//! al., *Common diffusion noise schedules and sample steps are flawed*, arXiv 2305.08891, section 3.4.
//! With u and c the unconditional and conditional output, g = s₂ the guidance scale and φ = s₃₅,
//!
//! m = u + g·(c − u)
//!
//! out = φ·deviation(c)/deviation(m) + 1 − φ
//!
//! where a deviation is the standard deviation of all elements of an item (equations 15 and 16, as
//! diffusers' `rescale_noise_cfg`). The factor of an m without deviation is 1.

use super::scheduler_step::slot;
use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given,
    optional_shape, required, required_any,
};
use crate::shape::TensorType;

/// Operands: output `[2·B, H, W, C]`, of which the first half is unconditional and the second
/// conditional, step F32 `[40]` (see [`slot::RESCALE`]). Result: F32 `[B, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct GuidanceRescale;

params! {
    struct Params {
        batch: u32,
        quads: u32,
        row_quads: u32,
        channels: u32,
    }
}

pub(super) static SHADER: Shader = shader!("guidance_rescale", Params, ["output", "step"]);

/// Threads of a workgroup, which share an item.
const GROUP: u32 = 256;

impl Kernel for GuidanceRescale {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let output = required(operands, 0, "output")?.shape;
        required_any(operands, 1, "step")?;
        optional_shape(operands, 1, "step", TensorType::f32([slot::LEN]))?;
        match *output.dims() {
            [items, _, _, _] if items % 2 == 0 && !output.is_empty() => {
                Ok(TensorType::f32([items / 2, 1]))
            }
            _ => Err(Mismatch::new("output", "[2·B, H, W, C]", output)),
        }
    }

    fn variants(&self, operands: Operands, result: TensorType, _: &Target) -> Vec<Launch> {
        let [output] = given(operands);
        let batch = result.shape.batch();
        let params = Params {
            batch: batch as u32,
            quads: (output.shape.padded_len() / 4 / (2 * batch)) as u32,
            row_quads: output.shape.quads() as u32,
            channels: output.shape.channels() as u32,
        };
        let launch = Launch::new(format!("threads-{GROUP}"), &params, [batch as u32, 1, 1])
            .constant("GROUP", GROUP)
            .constant("GUIDANCE", slot::GUIDANCE as u32)
            .constant("RESCALE", slot::RESCALE as u32)
            .flops(8 * output.shape.len() as u64);
        vec![launch]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [output, step] = given(operands);
        let (guidance, rescale) = (step.data[slot::GUIDANCE], step.data[slot::RESCALE]);
        let batch = output.shape.batch() / 2;
        let len = output.shape.len() / (2 * batch);
        let deviation = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / len as f64;
            (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / len as f64).sqrt()
        };
        let mut out = HostTensor::zeros([batch, 1]);
        for (b, factor) in out.data.iter_mut().enumerate() {
            let unconditional = &output.data[b * len..][..len];
            let conditional = &output.data[(batch + b) * len..][..len];
            let both = unconditional.iter().zip(conditional);
            let guided: Vec<f64> = both.map(|(u, c)| u + guidance * (c - u)).collect();
            let ratio = match deviation(&guided) {
                0.0 => 1.0,
                of_guided => deviation(conditional) / of_guided,
            };
            *factor = rescale * ratio + 1.0 - rescale;
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    // (shape of the output, its values, guidance scale and φ among the numbers of the step)
    let (unit, far) = (Fill::Uniform(1.0), Fill::Range(9.0, 11.0));
    [
        ([2, 4, 4, 4], unit, Fill::Range(0.5, 1.0)),
        ([4, 8, 8, 4], unit, Fill::Range(0.0, 7.5)),
        ([6, 5, 3, 5], unit, Fill::Range(0.2, 0.8)),
        ([2, 9, 7, 3], far, Fill::Range(0.5, 1.0)),
        ([2, 64, 48, 4], unit, Fill::Range(1.0, 7.0)),
        ([4, 33, 31, 37], far, Fill::Range(0.0, 1.0)),
        ([2, 1, 1, 4], Fill::Index(1), Fill::Range(0.0, 1.0)),
    ]
    .into_iter()
    .map(|(output, values, step)| {
        Case::new(GuidanceRescale)
            .filled(TensorType::real(output), values)
            .filled(TensorType::f32([slot::LEN]), step)
    })
    .collect()
}
