//! One step of a sampler with classifier-free guidance (arXiv 2207.12598): a linear combination with
//! coefficients s that the host writes before each step. With x the sample, z noise and hₖ slot k of
//! the history:
//!
//! m = r·(u + g·(c − u)) (two copies: unconditional u, conditional c; r is the operand `rescale`, or 1),
//! else m = u, the network's output
//!
//! x₀ = s₄·x + s₅·m, clamped to ±clip
//!
//! ε = s₃₂·x + s₃₃·m
//!
//! x' = s₆·x + s₇·m + s₈·x₀ + s₉·z + s₃₄·u + Σₖ s₁₀₊ₖ·hₖ
//!
//! hₖ' = one of hₖ, x, m, x₀, ε, chosen by s₁₅₊ₖ
//!
//! The positions have names in [`slot`].

use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Mismatch, Operands, Shader, Target, given,
    optional_shape, present, required_any, required_f32,
};
use crate::shape::{Shape, TensorType};

/// Slots of the history.
pub const SLOTS: usize = 5;

/// The item of the result that is the predicted image.
pub const PREDICTED: usize = 1 + SLOTS;

/// Positions in the operand `step`, F32 `[40]`: the numbers of one step of a sampler. Positions
/// without a name are zero. `row`, `scale`, `model_input`, `blend` and the epilogue read some of them too.
pub mod slot {
    /// The row of tables with one row per step; a whole number.
    pub const ROW: usize = 0;
    /// The factor from the sample to the network's input.
    pub const INPUT_SCALE: usize = 1;
    /// The guidance scale g.
    pub const GUIDANCE: usize = 2;
    /// The bound ± to which the predicted image is clamped; 0 for no clamping.
    pub const CLIP: usize = 3;
    /// Two coefficients of the predicted image x₀: of the sample and, at
    /// [`ORIGINAL_OUTPUT`], of the output.
    pub const ORIGINAL: usize = 4;
    /// Coefficient of the (guided) output in the predicted image x₀.
    pub const ORIGINAL_OUTPUT: usize = 5;
    /// Coefficient of the sample in the next sample.
    pub const SAMPLE: usize = 6;
    /// Coefficient of the (guided) output in the next sample.
    pub const OUTPUT: usize = 7;
    /// Coefficient of the predicted image, after clamping, in the next sample.
    pub const FROM_ORIGINAL: usize = 8;
    /// Coefficient of the noise in the next sample.
    pub const NOISE: usize = 9;
    /// Five coefficients of the history's slots in the next sample.
    pub const HISTORY: usize = 10;
    /// Five numbers of [`keep`](super::keep): the tensor that each slot of the history receives.
    pub const KEEP: usize = 15;
    /// Factor of a kept picture's latents in the next step's sample; 1 after the last step.
    pub const NEXT_SIGNAL: usize = 20;
    /// Factor of the noise of a kept picture in the next step's sample; 0 after the last step.
    pub const NEXT_LEVEL: usize = 21;
    /// The factors of the results of [`MAX_CONTROLS`] ControlNets.
    pub const CONTROL: usize = 24;
    /// The number of ControlNets that there are positions for.
    pub const MAX_CONTROLS: usize = 8;
    /// Two coefficients of the predicted noise ε: of the sample and, at [`EPSILON_OUTPUT`], of the
    /// output.
    pub const EPSILON: usize = 32;
    /// Coefficient of the (guided) output in the predicted noise ε.
    pub const EPSILON_OUTPUT: usize = 33;
    /// Coefficient of the unconditional output in the next sample.
    pub const UNCONDITIONAL: usize = 34;
    /// The share φ of the guided output that gets the conditional output's contrast.
    pub const RESCALE: usize = 35;
    /// The number of positions.
    pub const LEN: usize = 40;
}

/// The tensor that a slot of the history receives, as the number at [`slot::KEEP`].
pub mod keep {
    /// None: the slot is unchanged.
    pub const NOTHING: u32 = 0;
    /// The sample x that the step started from.
    pub const SAMPLE: u32 = 1;
    /// The (guided) output m.
    pub const OUTPUT: u32 = 2;
    /// The predicted image x₀, after clamping.
    pub const ORIGINAL: u32 = 3;
    /// The predicted noise ε.
    pub const EPSILON: u32 = 4;
}

/// Operands: sample F32 `[B, H, W, C]`, history F32 `[5·B, H, W, C]` (slot k is the items from
/// k·B), output `[copies·B, H, W, C]`, noise F32 `[B, H, W, C]`, step F32 `[40]` (see [`slot`]),
/// optionally rescale F32 `[B, 1]`, a factor of the guided output.
/// Result: F32 `[7·B, H, W, C]`: the next sample, the history, and the predicted image x₀ for
/// previews.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulerStep {
    /// 2 for a guided output, of which the first half is unconditional and the second conditional;
    /// else 1.
    pub copies: usize,
}

params! {
    struct Params {
        quads: u32,
        item_quads: u32,
    }
}

pub(super) static SHADER: Shader =
    shader!("scheduler_step", Params, ["sample", "history", "output", "noise", "step", "rescale"]);

/// The `const` lines of the shader's header: the positions in `step`, and the numbers of [`keep`].
const HEADER: [(&str, u32); 18] = [
    ("SLOTS", SLOTS as u32),
    ("GUIDANCE", slot::GUIDANCE as u32),
    ("CLIP", slot::CLIP as u32),
    ("ORIGINAL", slot::ORIGINAL as u32),
    ("ORIGINAL_OUTPUT", slot::ORIGINAL_OUTPUT as u32),
    ("SAMPLE", slot::SAMPLE as u32),
    ("OUTPUT", slot::OUTPUT as u32),
    ("FROM_ORIGINAL", slot::FROM_ORIGINAL as u32),
    ("NOISE", slot::NOISE as u32),
    ("HISTORY", slot::HISTORY as u32),
    ("KEEP", slot::KEEP as u32),
    ("EPSILON", slot::EPSILON as u32),
    ("EPSILON_OUTPUT", slot::EPSILON_OUTPUT as u32),
    ("UNCONDITIONAL", slot::UNCONDITIONAL as u32),
    ("KEEP_SAMPLE", keep::SAMPLE),
    ("KEEP_OUTPUT", keep::OUTPUT),
    ("KEEP_ORIGINAL", keep::ORIGINAL),
    ("KEEP_EPSILON", keep::EPSILON),
];

impl Kernel for SchedulerStep {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let sample = required_f32(operands, 0, "sample")?;
        let &[batch, height, width, channels] = sample.shape.dims() else {
            return Err(Mismatch::new("sample", "[B, H, W, C]", sample.shape));
        };
        if !matches!(self.copies, 1 | 2) {
            return Err(Mismatch::new("copies", "1 or 2", self.copies));
        }
        let items = |count: usize| Shape::from([count * batch, height, width, channels]);
        let expected = [
            ("sample", TensorType::f32(sample.shape)),
            ("history", TensorType::f32(items(SLOTS))),
            ("output", TensorType::real(items(self.copies))),
            ("noise", TensorType::f32(sample.shape)),
            ("step", TensorType::f32([slot::LEN])),
        ];
        for (index, (name, expected)) in expected.into_iter().enumerate() {
            required_any(operands, index, name)?;
            optional_shape(operands, index, name, expected)?;
        }
        optional_shape(operands, 5, "rescale", TensorType::f32([batch, 1]))?;
        Ok(TensorType::f32(items(PREDICTED + 1)))
    }

    fn variants(&self, operands: Operands, _: TensorType, _: &Target) -> Vec<Launch> {
        let [sample] = given(operands);
        let quads = sample.shape.padded_len() / 4;
        let item_quads = (quads / sample.shape.batch().max(1)) as u32;
        let launch = Launch::threads(&Params { quads: quads as u32, item_quads }, quads)
            .constant("GUIDED", self.copies == 2)
            .constant("RESCALED", present(operands, 5))
            .flops(32 * sample.shape.len() as u64);
        let add = |launch: Launch, (name, value)| launch.constant(name, value);
        vec![HEADER.into_iter().fold(launch, add)]
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [sample, history, output, noise, step] = given(operands);
        let rescale = operands.get(5).copied().flatten();
        let (s, len) = (&step.data, sample.shape.len());
        let mut shape = [1; 4];
        shape.copy_from_slice(sample.shape.dims());
        shape[0] *= PREDICTED + 1;
        let mut out = HostTensor::zeros(shape);
        for (i, &x) in sample.data.iter().enumerate() {
            let unconditional = output.data[i];
            let mut m = unconditional;
            if self.copies == 2 {
                m += s[slot::GUIDANCE] * (output.data[len + i] - unconditional);
                m *= rescale.map_or(1.0, |factors| factors.data[i / (len / factors.data.len())]);
            }
            let epsilon = s[slot::EPSILON] * x + s[slot::EPSILON_OUTPUT] * m;
            let mut original = s[slot::ORIGINAL] * x + s[slot::ORIGINAL_OUTPUT] * m;
            if s[slot::CLIP] > 0.0 {
                original = original.clamp(-s[slot::CLIP], s[slot::CLIP]);
            }
            let mut next = s[slot::SAMPLE] * x + s[slot::OUTPUT] * m;
            next += s[slot::FROM_ORIGINAL] * original + s[slot::NOISE] * noise.data[i];
            next += s[slot::UNCONDITIONAL] * unconditional;
            for k in 0..SLOTS {
                let kept = history.data[k * len + i];
                next += s[slot::HISTORY + k] * kept;
                out.data[(k + 1) * len + i] = match s[slot::KEEP + k] as u32 {
                    keep::SAMPLE => x,
                    keep::OUTPUT => m,
                    keep::ORIGINAL => original,
                    keep::EPSILON => epsilon,
                    _ => kept,
                };
            }
            out.data[i] = next;
            out.data[PREDICTED * len + i] = original;
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    // (shape of the sample, copies, the numbers of the step, whether there are factors)
    [
        ([1, 4, 4, 4], 1, Fill::Index(4), false),
        ([1, 8, 8, 4], 2, Fill::Index(5), false),
        ([3, 5, 3, 5], 2, Fill::Index(2), true),
        ([2, 3, 7, 3], 1, Fill::Index(3), false),
        ([2, 7, 5, 37], 2, Fill::Range(0.0, 3.5), true),
        ([3, 1, 9, 7], 1, Fill::Range(-1.0, 4.5), false),
    ]
    .into_iter()
    .map(|([batch, height, width, channels], copies, step, rescaled)| {
        let items = |count: usize| Shape::from([count * batch, height, width, channels]);
        let case = Case::new(SchedulerStep { copies })
            .operand(TensorType::f32(items(1)))
            .operand(TensorType::f32(items(SLOTS)))
            .operand(TensorType::real(items(copies)))
            .operand(TensorType::f32(items(1)))
            .filled(TensorType::f32([slot::LEN]), step);
        match rescaled {
            true => case.filled(TensorType::f32([batch, 1]), Fill::Range(0.5, 1.5)),
            false => case.absent(),
        }
    })
    .collect()
}
