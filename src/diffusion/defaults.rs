//! The defaults of a model.

use crate::families::Family;
use crate::schedulers::{SchedulerConfig, SchedulerKind};

/// The defaults of a model: used where a request leaves a choice open.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The sampler of its `scheduler_config.json`; `None` where this version lacks it, so that a
    /// request has to name one.
    pub scheduler: Option<SchedulerKind>,
    /// Sampling steps.
    pub steps: usize,
    /// Guidance scale.
    pub guidance_scale: f32,
}

impl Defaults {
    /// Steps and guidance that suit a model: networks that were distilled for few steps take no
    /// guidance, or read its scale; `side` is the size of pictures in pixels.
    pub(super) fn new(
        family: &Family,
        scheduler: &SchedulerConfig,
        reads_guidance: bool,
        side: usize,
    ) -> Defaults {
        use SchedulerKind::{Euler, EulerAncestral, Lcm, Tcd, UfoGen};
        let kind = scheduler.kind().ok();
        let (steps, guidance_scale) = match kind {
            _ if reads_guidance => (4, 8.5),
            Some(UfoGen) => (1, 1.0),
            Some(Lcm | Tcd) => (4, 1.0),
            Some(Euler | EulerAncestral) if scheduler.is_turbo() => (4, 1.0),
            _ => (family.steps, family.guidance_scale),
        };
        Defaults { width: side, height: side, scheduler: kind, steps, guidance_scale }
    }
}
