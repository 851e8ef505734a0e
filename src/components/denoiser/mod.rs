//! The denoiser: a network with guidance and sampler around it, as two programs. `prepare` computes
//! once per request what does not depend on the step; `step` runs in every step.

mod conditions;
mod control;
mod graph;
mod image_prompt;
mod programs;
mod scalars;

pub use conditions::Conditions;
pub use control::{Control, ControlNet};
pub use programs::{Denoiser, DenoiserPlans, Programs};
pub use scalars::scalars;
