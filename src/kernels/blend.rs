//! A sample of which a part is a given picture, noised for the step to come: inpainting with a network
//! that reads no mask (Lugmayr et al., RePaint, arXiv 2201.09865, without its resampling). x is the
//! sample, y the picture's latents, z noise, μ the mask, and s the scalars of the step:
//!
//! out = (1 − μ)·(s₂₀·y + s₂₁·z) + μ·x
//!
//! Where μ is 0 or 1 only that side counts, and the other may be anything, infinity and NaN included.

use super::scheduler_step::slot;
use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given,
    optional_shape, required_any, required_f32,
};
use crate::shape::TensorType;

/// Operands, all F32: sample `[n·B, H, W, C]`, of which the first B items are read, such as the result
/// of `scheduler_step`; image and noise `[B, H, W, C]`; mask `[1 or B, H, W, 1]`, 1 where the sample
/// counts and 0 where the image does; step `[40]` (see [`slot::NEXT_SIGNAL`]). Result: F32
/// `[B, H, W, C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Blend;

params! {
    struct Params {
        quads: u32,
        row_quads: u32,
        mask_pixels: u32,
    }
}

pub(super) static SHADER: Shader =
    shader!("blend", Params, ["sample", "image", "noise", "mask", "step"]);

impl Kernel for Blend {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let sample = required_f32(operands, 0, "sample")?.shape;
        let image = required_f32(operands, 1, "image")?;
        let mask = required_f32(operands, 3, "mask")?.shape;
        let &[batch, height, width, channels] = image.shape.dims() else {
            return Err(Mismatch::new("image", "[B, H, W, C]", image.shape));
        };
        let items = sample.batch() / batch.max(1) * batch;
        if items == 0 || sample.dims() != [items, height, width, channels] {
            let expected = format!("[n·{batch}, {height}, {width}, {channels}]");
            return Err(Mismatch::new("sample", expected, sample));
        }
        if !matches!(*mask.dims(), [b, h, w, 1] if (b == 1 || b == batch) && [h, w] == [height, width])
        {
            let expected = format!("[1 or {batch}, {height}, {width}, 1]");
            return Err(Mismatch::new("mask", expected, mask));
        }
        for (index, name, expected) in
            [(2, "noise", image), (4, "step", TensorType::f32([slot::LEN]))]
        {
            required_any(operands, index, name)?;
            optional_shape(operands, index, name, expected)?;
        }
        Ok(image)
    }

    fn variants(&self, operands: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let [_, _, _, mask] = given(operands);
        let quads = output.shape.padded_len() / 4;
        let params = Params {
            quads: quads as u32,
            row_quads: output.shape.quads() as u32,
            mask_pixels: mask.shape.rows() as u32,
        };
        let launch = Launch::threads(&params, quads)
            .constant("NEXT_SIGNAL", slot::NEXT_SIGNAL as u32)
            .constant("NEXT_LEVEL", slot::NEXT_LEVEL as u32)
            .flops(7 * output.shape.len() as u64);
        vec![launch]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [sample, image, noise, mask, step] = given(operands);
        let [signal, level] = [step.data[slot::NEXT_SIGNAL], step.data[slot::NEXT_LEVEL]];
        let channels = image.shape.channels();
        let mut out = HostTensor::zeros(image.shape);
        for (i, value) in out.data.iter_mut().enumerate() {
            let kept = signal * image.data[i] + level * noise.data[i];
            let mask = mask.data[i / channels % mask.data.len()];
            *value = (1.0 - mask) * kept + mask * sample.data[i];
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    // (shape of the image, items of the sample for each of it, items of the mask, the mask)
    [
        ([1, 4, 4, 4], 6, 1, Fill::Index(2)),
        ([1, 8, 8, 4], 1, 1, Fill::Index(2)),
        ([3, 5, 3, 5], 6, 1, Fill::Range(0.0, 1.0)),
        ([3, 1, 9, 7], 2, 3, Fill::Index(2)),
        ([2, 7, 5, 37], 1, 2, Fill::Range(0.0, 1.0)),
        ([2, 3, 7, 1], 6, 1, Fill::Index(2)),
    ]
    .into_iter()
    .map(|([batch, height, width, channels], items, masks, mask)| {
        let of = |batch: usize| TensorType::f32([batch, height, width, channels]);
        Case::new(Blend)
            .operand(of(items * batch))
            .operand(of(batch))
            .operand(of(batch))
            .filled(TensorType::f32([masks, height, width, 1]), mask)
            .filled(TensorType::f32([slot::LEN]), Fill::Range(0.05, 1.0))
    })
    .collect()
}
