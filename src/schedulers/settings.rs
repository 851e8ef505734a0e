//! The settings of a sampler: the values of a scheduler configuration, with names and defaults
//! resolved.

use super::prediction::Prediction;

/// The rule for βₜ (`beta_schedule`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum BetaSchedule {
    /// Linear from `beta_start` to `beta_end` (arXiv:2006.11239, section 4).
    Linear,
    /// √β is linear, as in latent diffusion.
    ScaledLinear,
    /// β from ᾱ(t) = cos²((t + 0.008)/1.008·π/2), at most 0.999 (arXiv:2102.09672, equation 17).
    SquaredCosine,
}

/// The rule for the timesteps of a run (`timestep_spacing`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TimestepSpacing {
    /// `i·(N div n) + steps_offset`: never reaches the last training step.
    Leading,
    /// `N − i·N/n − 1`: starts at the last training step.
    Trailing,
    /// From `N − 1` to 0, both included.
    Linspace,
}

/// The rule for noise levels σ that are not those of timesteps (`use_karras_sigmas`,
/// `use_exponential_sigmas`, `use_beta_sigmas`, `use_lu_lambdas`, or `sigma_schedule`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SigmaSpacing {
    /// (σmax^(1/ρ) + i/(n−1)·(σmin^(1/ρ) − σmax^(1/ρ)))^ρ with ρ = 7 (arXiv:2206.00364,
    /// equation 5).
    Karras,
    /// ln σ is linear.
    Exponential,
    /// Quantiles of the beta distribution with both parameters 0.6 (arXiv:2407.12173).
    Beta,
    /// ln σ is linear, and timesteps are whole (arXiv:2206.00927, with ρ = 1).
    Lu,
}

/// The variant of a multistep solver (`solver_type`). A variant that belongs to another solver
/// means the default, as in diffusers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SolverType {
    /// Heun's correction term of the second-order DPM-Solver++ (arXiv:2211.01095, appendix B); the
    /// default is midpoint.
    Heun,
    /// The function B(h) of UniPC named `bh1` (arXiv:2302.04867); the default is `bh2`.
    Bh1,
    /// The solver's default.
    Other,
}

/// The variance of DDPM's noise (`variance_type`; arXiv:2006.11239, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Variance {
    /// The variance of the posterior q(xₛ | xₜ, x₀).
    Small,
    /// 1 − αₜ.
    Large,
    /// Learned by the network, or a type that gives NaN in diffusers: not supported.
    Other,
}

/// The values that the samplers read from a scheduler configuration; fields without a comment are
/// named as their keys.
#[derive(Clone, Debug)]
pub(super) struct SamplerSettings {
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
    /// Spacing of σ in place of the timesteps' noise levels.
    pub(super) sigma_spacing: Option<SigmaSpacing>,
    /// ρ of Karras' spacing.
    pub(super) rho: f64,
    /// Whether timesteps of such noise levels are rounded.
    pub(super) whole_timesteps: bool,
    /// `sigma_min` and `sigma_max`.
    pub(super) sigma_range: [Option<f64>; 2],
    /// Whether `final_sigmas_type` is `zero`, not `sigma_min`.
    pub(super) final_sigma_zero: bool,
    /// σ of the data, in EDM's preconditioning.
    pub(super) sigma_data: f64,
    pub(super) solver_order: usize,
    /// Whether DPM-Solver++ adds noise in every step (`algorithm_type` `sde-dpmsolver++`).
    pub(super) stochastic: bool,
    pub(super) solver_type: SolverType,
    pub(super) lower_order_final: bool,
    pub(super) euler_at_final: bool,
    pub(super) lambda_min_clipped: f64,
    /// Whether PNDM begins with Runge–Kutta steps (`skip_prk_steps` is false).
    pub(super) runge_kutta: bool,
    pub(super) original_inference_steps: usize,
    pub(super) timestep_scaling: f32,
    /// η of DDIM or γ of TCD; an option of the run, not a key of the file.
    pub(super) eta: f32,
}

impl SamplerSettings {
    /// ᾱ before the first training step (diffusers' `final_alpha_cumprod`).
    pub(super) fn final_alpha(&self, alphas: &[f32]) -> f32 {
        match alphas {
            [first, ..] if !self.set_alpha_to_one => *first,
            _ => 1.0,
        }
    }
}
