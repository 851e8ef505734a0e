//! The values a sampler takes from a configuration, with the defaults of its diffusers class.

use serde_json::{Value, json};

use super::betas::BetaSchedule;
use super::keys::Keys;
use super::kind::SchedulerKind::{self, *};
use super::sigmas::SigmaSpacing;
use super::spacing::Spacing;
use super::timesteps::TimestepSpacing;
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

/// The variant of a multistep solver. Each solver takes its default for those of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SolverType {
    /// The correction term of a second-order DPM-Solver++ (arXiv:2211.01095, appendix B); its
    /// default is the midpoint's.
    Heun,
    /// The B(h) of UniPC (arXiv:2302.04867); its default is `bh2`.
    Bh1,
    /// The default of any solver.
    Other,
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
    /// Instead of the timesteps' noise levels: `use_karras_sigmas`, `use_exponential_sigmas`.
    pub(super) sigma_spacing: Option<SigmaSpacing>,
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
    pub(super) fn read(keys: &Keys, kind: SchedulerKind, eta: Option<f32>) -> Result<Settings> {
        let consistency = matches!(kind, Lcm | Tcd | UfoGen);
        let second_order = matches!(kind, Heun | DpmSolverSde);
        let by_timestep = consistency || matches!(kind, Ddim | Ddpm | Pndm);
        let train = keys.count("num_train_timesteps", 1000, 1, 1_000_000)?;
        let latent = consistency || second_order;
        let (start, end) = if latent { (0.00085, 0.012) } else { (0.0001, 0.02) };
        let sigma_spacing = sigma_spacing(keys, kind)?;
        let fraction = |key, default| -> Result<f64> {
            Ok(keys.number(key, [1e-9, 0.999_999_999])?.unwrap_or(default))
        };
        let positive = |key| keys.number(key, [1e-9, 1e9]);
        let clip_range = positive("clip_sample_range")?.unwrap_or(1.0) as f32;
        let clips = keys.flag("clip_sample", matches!(kind, Ddim | Ddpm))?
            && matches!(kind, Ddim | Ddpm | Heun | Lcm | UfoGen);
        let spacing = match kind {
            UfoGen => TimestepSpacing::Trailing,
            _ if by_timestep => TimestepSpacing::Leading,
            _ => TimestepSpacing::Linspace,
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
            // Those have no such key.
            rescale_betas_zero_snr: keys.flag("rescale_betas_zero_snr", false)?
                && !(second_order || kind == Pndm),
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
            sigma_spacing,
            sigma_range: match (kind, sigma_spacing) {
                // As diffusers, which looks at these keys in the other cases.
                (DpmSolverSde, Some(SigmaSpacing::Karras)) => [None, None],
                _ => [positive("sigma_min")?, positive("sigma_max")?],
            },
            final_sigma_zero: keys.choice(
                "final_sigmas_type",
                true,
                &[("zero", true), ("sigma_min", false)],
            )? || second_order
                || kind == EulerAncestral,
            solver_order: keys.count("solver_order", 2, 1, 3)?,
            solver_type: keys.choice(
                "solver_type",
                SolverType::Other,
                &[
                    ("midpoint", SolverType::Other),
                    ("heun", SolverType::Heun),
                    ("logrho", SolverType::Other),
                    ("bh1", SolverType::Bh1),
                    ("bh2", SolverType::Other),
                ],
            )?,
            lower_order_final: keys.flag("lower_order_final", true)?,
            euler_at_final: keys.flag("euler_at_final", false)?,
            // UniPC has no such key.
            lambda_min_clipped: keys
                .number("lambda_min_clipped", [-1e9, 1e9])?
                .filter(|_| kind != UniPc)
                .unwrap_or(f64::NEG_INFINITY),
            original_inference_steps: keys.count("original_inference_steps", 50, 1, 1_000_000)?,
            timestep_scaling: positive("timestep_scaling")?.unwrap_or(10.0) as f32,
            eta: eta.unwrap_or(if kind == Tcd { 0.3 } else { 0.0 }),
        })
    }

    /// An error of kind `Unsupported` if the file asks `kind` for what this version cannot do, of
    /// kind `Argument` if η is out of range.
    pub(super) fn require_supported(&self, keys: &Keys, kind: SchedulerKind) -> Result<()> {
        let off = |key: &str| keys.require(key, json!(false), json!(false));
        let is = |key: &str, word: &str| keys.require(key, json!(word), json!(word));
        if !matches!(kind, Euler | EulerAncestral | Heun | DpmSolverSde | Tcd | Pndm) {
            off("thresholding")?;
        }
        if matches!(kind, EulerAncestral | DpmSolverSde | Pndm)
            && self.prediction == Prediction::Sample
        {
            is("prediction_type", "epsilon")?;
        }
        if kind.spacings().contains(&Spacing::Karras) {
            off("use_beta_sigmas")?;
        }
        match kind {
            Ddim | Tcd if !(0.0..=1.0).contains(&self.eta) => {
                let message =
                    format!("{kind}: eta: expected a number from 0 to 1, got {}", self.eta);
                return Err(Error::new(ErrorKind::Argument, message));
            }
            Ddpm if self.variance == Variance::Other => is("variance_type", "fixed_small")?,
            Euler => {
                is("interpolation_type", "linear")?;
                if self.prediction == Prediction::Velocity {
                    is("timestep_type", "discrete")?;
                }
            }
            DpmSolver2M | DpmSolver2MKarras | DpmSolver2MSde => {
                off("use_lu_lambdas")?;
                off("use_flow_sigmas")?;
                if self.variance == Variance::Other {
                    is("variance_type", "fixed_small")?;
                }
                // Which of the two is the kind's choice. Diffusers takes DPM-Solver++ where the
                // file of another solver says DEIS.
                let algorithm = keys.get("algorithm_type", "a word", Value::as_str)?;
                if !matches!(algorithm, Some("deis" | "sde-dpmsolver++")) {
                    is("algorithm_type", "dpmsolver++")?;
                }
                if self.solver_order == 3 {
                    keys.require("solver_order", json!(2), json!(2))?;
                }
            }
            UniPc => {
                off("use_flow_sigmas")?;
                keys.require("predict_x0", json!(true), json!(true))?;
                keys.require("disable_corrector", json!([]), json!([]))?;
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

/// Which noise levels the file or the kind asks for, where the sampler can have others than those
/// of its timesteps.
fn sigma_spacing(keys: &Keys, kind: SchedulerKind) -> Result<Option<SigmaSpacing>> {
    let karras = keys.flag("use_karras_sigmas", false)?;
    let exponential = keys.flag("use_exponential_sigmas", false)?;
    if kind == DpmSolver2MKarras {
        return Ok(Some(SigmaSpacing::Karras));
    }
    match (kind.spacings().contains(&Spacing::Karras), karras, exponential) {
        (true, true, true) => {
            // The error for both: they exclude each other.
            keys.require("use_exponential_sigmas", json!(false), json!(false))?;
            Ok(None)
        }
        (true, true, false) => Ok(Some(SigmaSpacing::Karras)),
        (true, false, true) => Ok(Some(SigmaSpacing::Exponential)),
        (_, false, false) | (false, _, _) => Ok(None),
    }
}
