//! The values a sampler takes from a configuration, with the defaults of its diffusers class.

use serde_json::{Value, json};

use super::betas::BetaSchedule;
use super::config::Keys;
use super::kind::SchedulerKind::{self, *};
use super::spacing::TimestepSpacing;
use crate::error::{Error, ErrorKind, Result};

/// What the network predicts, where x = α·x₀ + σ·ε.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Prediction {
    /// The noise ε.
    Epsilon,
    /// The velocity v = α·ε − σ·x₀ (arXiv:2202.00512, appendix D).
    Velocity,
    /// The image x₀.
    Sample,
}

impl Prediction {
    /// x₀ in terms of the sample x and the output m.
    pub(super) fn original(self, alpha: f32, sigma: f32) -> [f32; 2] {
        match self {
            Prediction::Epsilon => [1.0 / alpha, -sigma / alpha],
            Prediction::Velocity => [alpha, -sigma],
            Prediction::Sample => [0.0, 1.0],
        }
    }

    /// ε in terms of the sample x and the output m.
    pub(super) fn epsilon(self, alpha: f32, sigma: f32) -> [f32; 2] {
        match self {
            Prediction::Epsilon => [0.0, 1.0],
            Prediction::Velocity => [sigma, alpha],
            Prediction::Sample => [1.0 / sigma, -alpha / sigma],
        }
    }
}

/// The correction term of a second-order DPM-Solver++ (arXiv:2211.01095, appendix B).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SolverType {
    Midpoint,
    Heun,
}

/// The variance of DDPM's noise (arXiv:2006.11239, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Variance {
    /// That of the posterior q(xₛ | xₜ, x₀).
    Small,
    /// 1 − αₜ.
    Large,
    /// Learned by the network, or NaN in diffusers: not supported.
    Other,
}

/// Every value, whatever the sampler; names as in the file unless documented.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) num_train_timesteps: usize,
    /// `beta_start` and `beta_end`.
    pub(super) beta_range: [f64; 2],
    pub(super) beta_schedule: BetaSchedule,
    pub(super) trained_betas: Option<Vec<f32>>,
    pub(super) rescale_betas_zero_snr: bool,
    pub(super) prediction: Prediction,
    pub(super) timestep_spacing: TimestepSpacing,
    pub(super) steps_offset: usize,
    /// `clip_sample_range` if `clip_sample`.
    pub(super) clip: Option<f32>,
    pub(super) set_alpha_to_one: bool,
    pub(super) variance: Variance,
    pub(super) use_karras_sigmas: bool,
    /// `sigma_min` and `sigma_max`.
    pub(super) sigma_range: [Option<f64>; 2],
    /// Whether `final_sigmas_type` is `zero`, not `sigma_min`.
    pub(super) final_sigma_zero: bool,
    pub(super) solver_order: usize,
    pub(super) solver_type: SolverType,
    pub(super) lower_order_final: bool,
    pub(super) euler_at_final: bool,
    pub(super) lambda_min_clipped: f64,
    pub(super) original_inference_steps: usize,
    pub(super) timestep_scaling: f32,
    /// Not from the file.
    pub(super) eta: f32,
}

impl Settings {
    /// Reads the values for `kind`; an error of kind `Config` if one is impossible.
    pub(super) fn read(keys: &Keys, kind: SchedulerKind, eta: f32) -> Result<Settings> {
        let consistency = matches!(kind, Lcm | UfoGen);
        let sigma_space = matches!(kind, Euler | EulerAncestral | DpmSolver2M | DpmSolver2MKarras);
        let train = keys.count("num_train_timesteps", 1000, 1, 1_000_000)?;
        let (start, end) = if consistency { (0.00085, 0.012) } else { (0.0001, 0.02) };
        let fraction = |key, default| -> Result<f64> {
            Ok(keys.number(key, [1e-9, 0.999_999_999])?.unwrap_or(default))
        };
        let positive = |key| keys.number(key, [1e-9, 1e9]);
        let clip_range = positive("clip_sample_range")?.unwrap_or(1.0) as f32;
        let clips = keys.flag("clip_sample", matches!(kind, Ddim | Ddpm))?
            && matches!(kind, Ddim | Ddpm | Lcm | UfoGen);
        let spacing = match kind {
            UfoGen => TimestepSpacing::Trailing,
            _ if sigma_space => TimestepSpacing::Linspace,
            _ => TimestepSpacing::Leading,
        };
        Ok(Settings {
            num_train_timesteps: train,
            beta_range: [fraction("beta_start", start)?, fraction("beta_end", end)?],
            beta_schedule: keys.choice(
                "beta_schedule",
                if consistency { BetaSchedule::ScaledLinear } else { BetaSchedule::Linear },
                &[
                    ("linear", BetaSchedule::Linear),
                    ("scaled_linear", BetaSchedule::ScaledLinear),
                    ("squaredcos_cap_v2", BetaSchedule::SquaredCosine),
                ],
            )?,
            trained_betas: keys.fractions("trained_betas", train)?,
            // PNDM has no such key.
            rescale_betas_zero_snr: keys.flag("rescale_betas_zero_snr", false)? && kind != Pndm,
            prediction: keys.choice(
                "prediction_type",
                Prediction::Epsilon,
                &[
                    ("epsilon", Prediction::Epsilon),
                    ("v_prediction", Prediction::Velocity),
                    ("sample", Prediction::Sample),
                ],
            )?,
            timestep_spacing: keys.choice(
                "timestep_spacing",
                spacing,
                &[
                    ("leading", TimestepSpacing::Leading),
                    ("trailing", TimestepSpacing::Trailing),
                    ("linspace", TimestepSpacing::Linspace),
                ],
            )?,
            steps_offset: keys.count("steps_offset", 0, 0, train - 1)?,
            clip: clips.then_some(clip_range),
            set_alpha_to_one: keys.flag("set_alpha_to_one", kind != Pndm)?,
            variance: keys.choice(
                "variance_type",
                Variance::Small,
                &[
                    ("fixed_small", Variance::Small),
                    ("fixed_small_log", Variance::Small),
                    ("fixed_large", Variance::Large),
                    ("fixed_large_log", Variance::Other),
                    ("learned", Variance::Other),
                    ("learned_range", Variance::Other),
                ],
            )?,
            use_karras_sigmas: kind == DpmSolver2MKarras
                || keys.flag("use_karras_sigmas", false)? && kind != EulerAncestral,
            sigma_range: [positive("sigma_min")?, positive("sigma_max")?],
            final_sigma_zero: keys.choice(
                "final_sigmas_type",
                true,
                &[("zero", true), ("sigma_min", false)],
            )? || kind == EulerAncestral,
            solver_order: keys.count("solver_order", 2, 1, 3)?,
            solver_type: keys.choice(
                "solver_type",
                SolverType::Midpoint,
                &[
                    ("midpoint", SolverType::Midpoint),
                    ("heun", SolverType::Heun),
                    // Of other multistep solvers; diffusers takes midpoint for them.
                    ("logrho", SolverType::Midpoint),
                    ("bh1", SolverType::Midpoint),
                    ("bh2", SolverType::Midpoint),
                ],
            )?,
            lower_order_final: keys.flag("lower_order_final", true)?,
            euler_at_final: keys.flag("euler_at_final", false)?,
            lambda_min_clipped: keys
                .number("lambda_min_clipped", [-1e9, 1e9])?
                .unwrap_or(f64::NEG_INFINITY),
            original_inference_steps: keys.count("original_inference_steps", 50, 1, 1_000_000)?,
            timestep_scaling: positive("timestep_scaling")?.unwrap_or(10.0) as f32,
            eta,
        })
    }

    /// An error of kind `Unsupported` if the file asks `kind` for what this version cannot do, of
    /// kind `Argument` if η is out of range.
    pub(super) fn require_supported(&self, keys: &Keys, kind: SchedulerKind) -> Result<()> {
        let off = |key: &str| keys.require(key, json!(false), json!(false));
        let is = |key: &str, word: &str| keys.require(key, json!(word), json!(word));
        if matches!(kind, Ddim | Ddpm | DpmSolver2M | DpmSolver2MKarras | Lcm | UfoGen) {
            off("thresholding")?;
        }
        if matches!(kind, EulerAncestral | Pndm) && self.prediction == Prediction::Sample {
            is("prediction_type", "epsilon")?;
        }
        match kind {
            Ddim if !(0.0..=1.0).contains(&self.eta) => {
                let message = format!("ddim: eta: expected a number from 0 to 1, got {}", self.eta);
                return Err(Error::new(ErrorKind::Argument, message));
            }
            Ddpm | DpmSolver2M | DpmSolver2MKarras if self.variance == Variance::Other => {
                is("variance_type", "fixed_small")?;
            }
            Euler => {
                ["use_exponential_sigmas", "use_beta_sigmas"]
                    .iter()
                    .try_for_each(|key| off(key))?;
                is("interpolation_type", "linear")?;
                if self.prediction == Prediction::Velocity {
                    is("timestep_type", "discrete")?;
                }
            }
            DpmSolver2M | DpmSolver2MKarras => {
                let flags = ["exponential_sigmas", "beta_sigmas", "lu_lambdas", "flow_sigmas"];
                flags.iter().try_for_each(|key| off(&format!("use_{key}")))?;
                // Diffusers takes DPM-Solver++ where the file of another solver says DEIS.
                if keys.get("algorithm_type", "a word", Value::as_str)? != Some("deis") {
                    is("algorithm_type", "dpmsolver++")?;
                }
                if self.solver_order == 3 {
                    keys.require("solver_order", json!(2), json!(2))?;
                }
            }
            // Not diffusers' default: a configuration that does not speak of it gets PLMS, which
            // every Stable Diffusion asks for.
            Pndm => keys.require("skip_prk_steps", json!(true), json!(true))?,
            _ => {}
        }
        Ok(())
    }

    /// ᾱ before the first training step.
    pub(super) fn final_alpha(&self, alphas: &[f32]) -> f32 {
        match alphas {
            [first, ..] if !self.set_alpha_to_one => *first,
            _ => 1.0,
        }
    }
}
