//! Samplers (diffusers' schedulers): the update rules that lead from noise to an image in a few
//! dozen steps.
//!
//! A sampler is planned before the run and is plain data: a [`Schedule`] is a list of [`Step`]s,
//! each a handful of coefficients. The code that executes a step (a GPU kernel, or [`Step::apply`]
//! on the CPU) does not depend on the sampler, and planning does not need a GPU.
//!
//! Each sampler is a file with its equations; `settings` holds the values of a model's
//! `scheduler_config.json`. The notation is the papers': a sample x = √ᾱ·x₀ + √(1−ᾱ)·ε of image x₀
//! and noise ε, and σ = √((1−ᾱ)/ᾱ).
//!
//! The results agree with diffusers 0.42, given the same network outputs and noise: relative to the
//! largest value of a step, within 2·10⁻⁶, and within 5·10⁻⁶ for Euler and Heun from σ in the
//! thousands (10⁻⁴ for the step down from σ = 4096, `rescale_betas_zero_snr`, and 2·10⁻⁵ for EDM's Euler
//! in a step or two from σ = 80). The exceptions:
//!
//! - UFOGen and the samplers with CFG++ have no scheduler in diffusers; they follow the papers' equations.
//! - LMS from a picture (image-to-image) begins with first order; diffusers begins with the weights of a
//!   higher order, whose other outputs it does not have.
//! - PNDM without the key `skip_prk_steps` is PLMS, without Runge–Kutta steps.
//! - EDM's exponential spacing of a single step is at the highest noise level, in diffusers at the lowest.
//! - DPM++ SDE draws its noise step by step from the run's generator, with the distribution of a
//!   Brownian path; diffusers draws it from a tree of seeds. The same seed gives another picture.
//! - TCD's γ defaults to 0.3, as in diffusers' step function; diffusers' pipelines pass 0.
//! - UniPC with `bh1` ends in the predicted image at σ = 0, where diffusers ends in NaN.

mod beta_distribution;
mod betas;
mod config;
mod ddim;
mod ddpm;
mod deis;
mod dpm_solver;
mod dpm_solver_sde;
mod dpm_solver_single;
mod edm;
mod euler;
mod euler_ancestral;
mod exponential;
mod heun;
mod kdpm2;
mod keys;
mod kind;
mod lcm;
mod lms;
mod multistep;
mod names;
mod parse;
mod pndm;
mod prediction;
mod schedule;
mod settings;
mod sigmas;
mod spacing;
mod step;
mod supported;
mod tcd;
mod timesteps;
mod ufogen;
mod unipc;

pub use config::SchedulerConfig;
pub use kind::SchedulerKind;
pub use prediction::Prediction;
pub use schedule::Schedule;
pub use spacing::Spacing;
pub use step::{HISTORY, History, Keep, Next, Step};
