//! Conversion of a sampler's step to the scalars of the step kernels.

use crate::kernels::scheduler_step::{SLOTS, keep, slot};
use crate::schedulers::{Keep, Step};

/// The scalars of a step, F32 `[40]` (see [`slot`]). `row` is the step's row among the timesteps,
/// `control_scales` are those of at most [`slot::MAX_CONTROLS`] ControlNets, `next_noising` signal
/// and noise level of the step after it, if there is one.
pub fn scalars(
    step: &Step,
    row: usize,
    [guidance_scale, guidance_rescale]: [f32; 2],
    control_scales: &[f32],
    next_noising: Option<[f32; 2]>,
) -> [f32; slot::LEN] {
    let mut scalars = [0.0; slot::LEN];
    scalars[slot::ROW] = row as f32;
    scalars[slot::INPUT_SCALE] = step.input_scale;
    scalars[slot::GUIDANCE] = guidance_scale;
    scalars[slot::RESCALE] = guidance_rescale;
    let controls = scalars[slot::CONTROL..][..slot::MAX_CONTROLS].iter_mut();
    controls.zip(control_scales).for_each(|(scalar, scale)| *scalar = *scale);
    let [signal, level] = next_noising.unwrap_or([1.0, 0.0]);
    (scalars[slot::NEXT_SIGNAL], scalars[slot::NEXT_LEVEL]) = (signal, level);
    scalars[slot::CLIP] = step.clip.unwrap_or(0.0);
    scalars[slot::ORIGINAL..][..2].copy_from_slice(&step.original);
    scalars[slot::SAMPLE] = step.next.sample;
    scalars[slot::OUTPUT] = step.next.output;
    scalars[slot::FROM_ORIGINAL] = step.next.original;
    scalars[slot::NOISE] = step.next.noise;
    scalars[slot::UNCONDITIONAL] = step.next.unconditional;
    scalars[slot::EPSILON..][..2].copy_from_slice(&step.epsilon);
    scalars[slot::HISTORY..][..SLOTS].copy_from_slice(&step.next.history);
    for (scalar, kept) in scalars[slot::KEEP..].iter_mut().zip(step.keep) {
        *scalar = match kept {
            Keep::Nothing => keep::NOTHING,
            Keep::Sample => keep::SAMPLE,
            Keep::Output => keep::OUTPUT,
            Keep::Original => keep::ORIGINAL,
            Keep::Epsilon => keep::EPSILON,
        } as f32;
    }
    scalars
}
