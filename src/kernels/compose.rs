//! The composition of several prompts into one guided output (Liu et al., Compositional Visual
//! Generation with Composable Diffusion Models, arXiv 2206.01714, section 4): with u the unconditional
//! output, cᵢ that of prompt i and wᵢ its weight,
//!
//! `out = [u, u + Σᵢ wᵢ·(cᵢ − u)]`
//!
//! of which `scheduler_step` makes u + g·Σᵢ wᵢ·(cᵢ − u), as stable-diffusion-webui has it
//! (`combine_denoised` in its `modules/sd_samplers_cfg_denoiser.py`).

use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given, required,
    required_f32,
};
use crate::shape::TensorType;

/// Operands: outputs `[(1 + n)·B, H, W, C]`, the unconditional ones first, then those of each prompt;
/// weights F32 `[n]`. Result: `[2·B, H, W, C]`, the unconditional outputs and the composed ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Compose {
    /// The number of prompts n.
    pub prompts: usize,
}

params! {
    struct Params {
        quads: u32,
        prompts: u32,
    }
}

pub(super) static SHADER: Shader = shader!("compose", Params, ["outputs", "weights"]);

impl Kernel for Compose {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let outputs = required(operands, 0, "outputs")?.shape;
        let weights = required_f32(operands, 1, "weights")?.shape;
        let &[items, height, width, channels] = outputs.dims() else {
            return Err(Mismatch::new("outputs", "[(1 + n)·B, H, W, C]", outputs));
        };
        if self.prompts == 0 || weights.dims() != [self.prompts] {
            return Err(Mismatch::new(
                "weights",
                format!("[{}], at least one", self.prompts),
                weights,
            ));
        }
        if items == 0 || !items.is_multiple_of(1 + self.prompts) {
            let expected = format!("a multiple of {} items", 1 + self.prompts);
            return Err(Mismatch::new("outputs", expected, outputs));
        }
        let batch = items / (1 + self.prompts);
        Ok(TensorType::real([2 * batch, height, width, channels]))
    }

    fn variants(&self, _: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let quads = output.shape.padded_len() / 8;
        let params = Params { quads: quads as u32, prompts: self.prompts as u32 };
        let flops = 3 * self.prompts as u64 * output.shape.len() as u64 / 2;
        vec![Launch::threads(&params, quads).flops(flops)]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [outputs, weights] = given(operands);
        let mut shape = [1; 4];
        shape.copy_from_slice(outputs.shape.dims());
        shape[0] = 2 * shape[0] / (1 + self.prompts);
        let mut out = HostTensor::zeros(shape);
        let len = out.data.len() / 2;
        for i in 0..len {
            let base = outputs.data[i];
            let change =
                |(k, weight): (usize, &f64)| weight * (outputs.data[(1 + k) * len + i] - base);
            out.data[i] = base;
            out.data[len + i] = base + weights.data.iter().enumerate().map(change).sum::<f64>();
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    // (shape for each prompt, prompts)
    [
        ([1, 4, 4, 4], 2),
        ([1, 8, 8, 4], 3),
        ([3, 5, 3, 5], 1),
        ([2, 3, 7, 3], 4),
        ([2, 7, 5, 37], 2),
        ([1, 1, 9, 7], 15),
    ]
    .into_iter()
    .map(|([batch, height, width, channels], prompts)| {
        Case::new(Compose { prompts })
            .operand(TensorType::real([(1 + prompts) * batch, height, width, channels]))
            .filled(TensorType::f32([prompts]), Fill::Uniform(1.5))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_of_all_prompts() {
        let infer = |items: usize, weights: usize| {
            let operands = [TensorType::real([items, 2, 2, 4]), TensorType::f32([weights])];
            Compose { prompts: 2 }.infer(&operands.map(Some))
        };
        assert_eq!(infer(3, 2), Ok(TensorType::real([2, 2, 2, 4])));
        assert_eq!(infer(6, 2), Ok(TensorType::real([4, 2, 2, 4])));
        assert!(infer(4, 2).is_err());
        assert!(infer(3, 3).is_err());
    }
}
