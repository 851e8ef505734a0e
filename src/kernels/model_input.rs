//! The network's input: the latents, scaled, converted to the storage type and repeated once per
//! prompt.
//!
//! `out[c·B + b, …] = x[b, …] · scale · step[INPUT_SCALE]` for every copy c; the factor of the step
//! only where the operand is given.

use super::scheduler_step::slot;
use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given,
    optional_shape, present, required_f32,
};
use crate::shape::TensorType;

/// Operands: x F32 `[B, H, W, C]`, optionally step F32 `[40]` (see [`slot`]). Result:
/// `[copies·B, H, W, C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInput {
    /// The number of copies of the batch: 2 for classifier-free guidance, else 1.
    pub copies: usize,
    /// A constant factor, such as that of a VAE's latents.
    pub scale: f32,
}

params! {
    struct Params {
        quads: u32,
        in_quads: u32,
        scale: f32,
    }
}

pub(super) static SHADER: Shader = shader!("model_input", Params, ["x", "step"]);

impl Kernel for ModelInput {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let x = required_f32(operands, 0, "x")?;
        let &[batch, height, width, channels] = x.shape.dims() else {
            return Err(Mismatch::new("x", "[B, H, W, C]", x.shape));
        };
        optional_shape(operands, 1, "step", TensorType::f32([slot::LEN]))?;
        Ok(TensorType::real([self.copies * batch, height, width, channels]))
    }

    fn variants(&self, operands: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let [x] = given(operands);
        let quads = output.shape.padded_len() / 4;
        let params = Params {
            quads: quads as u32,
            in_quads: (x.shape.padded_len() / 4) as u32,
            scale: self.scale,
        };
        let launch = Launch::threads(&params, quads)
            .constant("HAS_STEP", present(operands, 1))
            .constant("INPUT_SCALE", slot::INPUT_SCALE as u32)
            .flops(output.shape.len() as u64);
        vec![launch]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [x] = given(operands);
        let step = operands.get(1).copied().flatten();
        let scale = f64::from(self.scale) * step.map_or(1.0, |step| step.data[slot::INPUT_SCALE]);
        let &[batch, height, width, channels] = x.shape.dims() else {
            unreachable!("infer requires four dimensions");
        };
        let data = x.data.repeat(self.copies).iter().map(|value| value * scale).collect();
        HostTensor { shape: [self.copies * batch, height, width, channels].into(), data }
    }
}

pub(super) fn cases() -> Vec<Case> {
    // (shape of x, copies, scale, step)
    [
        ([1, 4, 4, 4], 1, 1.0, false),
        ([1, 8, 8, 4], 2, 1.0, true),
        ([3, 5, 3, 5], 2, 0.5, true),
        ([2, 3, 7, 9], 1, 1.0 / 0.18215, false),
        ([2, 1, 3, 37], 3, 0.13025, true),
    ]
    .into_iter()
    .map(|(shape, copies, scale, step)| {
        let case = Case::new(ModelInput { copies, scale })
            .filled(TensorType::f32(shape), Fill::Uniform(4.0));
        match step {
            true => case.filled(TensorType::f32([slot::LEN]), Fill::Range(0.05, 1.0)),
            false => case.absent(),
        }
    })
    .collect()
}
