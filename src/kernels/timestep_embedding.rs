//! The sinusoidal embedding of timesteps ("Attention Is All You Need", arXiv 1706.03762, section
//! 3.5), in the variants of diffusers' `get_timestep_embedding`; h = ⌊dim/2⌋:
//!
//! `ωᵢ = 10000^(−i/(h − shift)), out[s, i] = sin(t[s]·ωᵢ), out[s, h + i] = cos(t[s]·ωᵢ)`
//!
//! or cosines first. The last channel of an odd dim is zero.

use super::shader::{lib, params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Lib, Mismatch, Operands, Shader, Target, given,
    required_f32,
};
use crate::shape::TensorType;

/// Operand: timesteps F32 `[S]`, whole or fractional, not negative. Result: `[S, dim]`; before it
/// is rounded to the storage type, the error is at most 4e-6 for timesteps up to 1000 and grows
/// in proportion beyond.
#[derive(Clone, Debug, PartialEq)]
pub struct TimestepEmbedding {
    /// Channels of the embedding.
    pub dim: usize,
    /// Whether the cosines come first.
    pub flip_sin_to_cos: bool,
    /// The shift in the exponent's divisor h − shift.
    pub frequency_shift: f32,
}

params! {
    struct Params {
        quads: u32,
        channel_quads: u32,
        half: u32,
        ratio: u32,
    }
}

static SINCOS: Lib = lib!("sincos");

pub(super) static SHADER: Shader = shader!("timestep_embedding", Params, ["timesteps"]);

impl TimestepEmbedding {
    /// The ratio of each frequency to the one before.
    fn ratio(&self) -> f64 {
        10_000_f64.powf(-1.0 / ((self.dim / 2) as f64 - f64::from(self.frequency_shift)))
    }
}

impl Kernel for TimestepEmbedding {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let timesteps = required_f32(operands, 0, "timesteps")?;
        let &[count] = timesteps.shape.dims() else {
            return Err(Mismatch::new("timesteps", "[S]", timesteps.shape));
        };
        if (self.dim / 2) as f32 <= self.frequency_shift {
            let expected = format!("more than twice the frequency shift {}", self.frequency_shift);
            return Err(Mismatch::new("dim", expected, self.dim));
        }
        Ok(TensorType::real([count, self.dim]))
    }

    fn variants(&self, _: Operands, output: TensorType, _: &Target) -> Vec<Launch> {
        let quads = output.shape.padded_len() / 4;
        let params = Params {
            quads: quads as u32,
            channel_quads: output.shape.quads() as u32,
            half: (self.dim / 2) as u32,
            ratio: (self.ratio() * (1_u64 << 32) as f64).round() as u32,
        };
        let launch = Launch::threads(&params, quads)
            .constant("COS_FIRST", self.flip_sin_to_cos)
            .lib(&SINCOS)
            .flops(20 * output.shape.len() as u64);
        vec![launch]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [timesteps] = given(operands);
        let half = self.dim / 2;
        let mut out = HostTensor::zeros([timesteps.data.len(), self.dim]);
        for (row, timestep) in timesteps.data.iter().enumerate() {
            for i in 0..half {
                let (sin, cos) = (timestep * self.ratio().powi(i as i32)).sin_cos();
                let (first, second) = if self.flip_sin_to_cos { (cos, sin) } else { (sin, cos) };
                out.row_mut(row)[i] = first;
                out.row_mut(row)[half + i] = second;
            }
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    // (dim, cosines first, frequency shift, S, timesteps)
    [
        (320, true, 0.0, 20, Fill::Index(1000)),
        (320, true, 0.0, 3, Fill::Range(0.0, 1000.0)),
        (256, true, 0.0, 6, Fill::Range(0.0, 64.0)),
        (128, false, 1.0, 5, Fill::Index(1000)),
        (37, false, 0.5, 2, Fill::Range(0.0, 1000.0)),
        (5, true, 0.0, 7, Fill::Index(1000)),
        (4, false, 1.0, 1, Fill::Index(10)),
        (1280, true, 0.0, 2, Fill::Index(1000)),
    ]
    .into_iter()
    .map(|(dim, flip_sin_to_cos, frequency_shift, count, timesteps)| {
        Case::new(TimestepEmbedding { dim, flip_sin_to_cos, frequency_shift })
            .filled(TensorType::f32([count]), timesteps)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_formula() {
        let op = TimestepEmbedding { dim: 7, flip_sin_to_cos: true, frequency_shift: 1.0 };
        let timesteps = HostTensor { shape: [1].into(), data: vec![2.0] };
        let out = op.reference(&[Some(&timesteps)]).data;
        let frequencies = [1.0, 0.01, 0.0001];
        for (i, frequency) in frequencies.into_iter().enumerate() {
            assert!((out[i] - f64::cos(2.0 * frequency)).abs() < 1e-12);
            assert!((out[3 + i] - f64::sin(2.0 * frequency)).abs() < 1e-12);
        }
        assert_eq!(out[6], 0.0);
    }

    #[test]
    fn too_few_channels_are_refused() {
        let op = TimestepEmbedding { dim: 2, flip_sin_to_cos: true, frequency_shift: 1.0 };
        assert!(op.infer(&[Some(TensorType::f32([3]))]).is_err());
    }
}
