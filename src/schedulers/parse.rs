//! Reads [`SamplerSettings`] from a scheduler configuration; a key that is missing takes the
//! default of the sampler's diffusers class.

use serde_json::{Value, json};

use super::keys::Keys;
use super::kind::SchedulerKind::{self, *};
use super::prediction::Prediction;
use super::settings::{
    BetaSchedule, SamplerSettings, SigmaSpacing, SolverType, TimestepSpacing, Variance,
};
use super::spacing::Spacing;
use crate::error::Result;

impl SamplerSettings {
    /// Reads the settings of the sampler `kind`; an error of kind `Config` if a value is
    /// impossible.
    pub(super) fn read(
        keys: &Keys,
        kind: SchedulerKind,
        eta: Option<f32>,
    ) -> Result<SamplerSettings> {
        let consistency = matches!(kind, Lcm | Tcd | UfoGen);
        let edm = matches!(kind, EdmEuler | EdmDpmSolver);
        let single = matches!(kind, DpmSolver2S | DpmSolver3S);
        let multistep = kind.class_name() == DpmSolver2M.class_name();
        let dpm2 = matches!(kind, Dpm2 | Dpm2Ancestral);
        let second_order = dpm2 || matches!(kind, Heun | DpmSolverSde);
        let by_timestep = consistency || matches!(kind, Ddim | DdimCfgPp | Ddpm | Pndm);
        let train = keys.count("num_train_timesteps", 1000, 1, 1_000_000)?;
        let latent = consistency || second_order;
        let (start, end) = if latent { (0.00085, 0.012) } else { (0.0001, 0.02) };
        let sigma_spacing = sigma_spacing(keys, kind)?;
        let fraction = |key, default| -> Result<f64> {
            Ok(keys.number(key, [1e-9, 0.999_999_999])?.unwrap_or(default))
        };
        let positive = |key| keys.number(key, [1e-9, 1e9]);
        let clip_range = positive("clip_sample_range")?.unwrap_or(1.0) as f32;
        let clips = keys.flag("clip_sample", matches!(kind, Ddim | DdimCfgPp | Ddpm))?
            && matches!(kind, Ddim | DdimCfgPp | Ddpm | Heun | Lcm | UfoGen);
        let spacing = match kind {
            UfoGen => TimestepSpacing::Trailing,
            _ if by_timestep => TimestepSpacing::Leading,
            _ => TimestepSpacing::Linspace,
        };
        Ok(SamplerSettings {
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
            // The diffusers classes of these samplers have no such key.
            rescale_betas_zero_snr: keys.flag("rescale_betas_zero_snr", false)?
                && !(second_order || single || edm || matches!(kind, Pndm | Lms | Deis)),
            prediction: keys.choice(
                "prediction_type",
                Prediction::Epsilon,
                &Prediction::ALL.map(|prediction| (prediction.name(), prediction)),
            )?,
            timestep_spacing: match keys.choice(
                "timestep_spacing",
                spacing,
                &[
                    ("leading", TimestepSpacing::Leading),
                    ("trailing", TimestepSpacing::Trailing),
                    ("linspace", TimestepSpacing::Linspace),
                ],
            )? {
                // Its diffusers class has no such key.
                _ if single => TimestepSpacing::Linspace,
                spacing => spacing,
            },
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
            rho: if edm { positive("rho")?.unwrap_or(KARRAS_RHO) } else { KARRAS_RHO },
            whole_timesteps: dpm2 && sigma_spacing == Some(SigmaSpacing::Karras),
            sigma_range: match (kind, sigma_spacing) {
                // diffusers reads these two keys in the other cases only.
                (DpmSolverSde | Lms, Some(SigmaSpacing::Karras)) | (_, Some(SigmaSpacing::Lu)) => {
                    [None, None]
                }
                _ => [positive("sigma_min")?, positive("sigma_max")?],
            },
            final_sigma_zero: match keys.choice(
                "final_sigmas_type",
                true,
                &[("zero", true), ("sigma_min", false)],
            )? {
                // The classes of these samplers have no such key.
                _ if second_order || matches!(kind, EulerAncestral | Lms) => true,
                _ if kind == Deis => false,
                zero => zero,
            },
            sigma_data: positive("sigma_data")?.unwrap_or(0.5),
            solver_order: match (kind, keys.count("solver_order", 2, 1, 3)?) {
                (DpmSolver3M | DpmSolver3MSde | DpmSolver3S, _) => 3,
                (_, order) if multistep || single => order.min(2),
                (_, order) => order,
            },
            stochastic: match kind {
                DpmSolver2MSde | DpmSolver3MSde => true,
                _ if multistep => false,
                _ => {
                    keys.get("algorithm_type", "a word", Value::as_str)? == Some("sde-dpmsolver++")
                }
            },
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
            lower_order_final: keys.flag("lower_order_final", !single)?,
            euler_at_final: keys.flag("euler_at_final", false)?,
            // The other classes have no such key.
            lambda_min_clipped: keys
                .number("lambda_min_clipped", [-1e9, 1e9])?
                .filter(|_| multistep || single)
                .unwrap_or(f64::NEG_INFINITY),
            runge_kutta: !keys.flag("skip_prk_steps", true)?,
            original_inference_steps: keys.count("original_inference_steps", 50, 1, 1_000_000)?,
            timestep_scaling: positive("timestep_scaling")?.unwrap_or(10.0) as f32,
            eta: eta.unwrap_or(if kind == Tcd { 0.3 } else { 0.0 }),
        })
    }
}

/// ρ of Karras' spacing (arXiv:2206.00364, equation 5).
const KARRAS_RHO: f64 = 7.0;

/// The σ spacing that the file or the kind asks for, if the sampler supports one.
fn sigma_spacing(keys: &Keys, kind: SchedulerKind) -> Result<Option<SigmaSpacing>> {
    use SigmaSpacing::{Beta, Exponential, Karras, Lu};
    if matches!(kind, EdmEuler | EdmDpmSolver) {
        let names = [("karras", Some(Karras)), ("exponential", Some(Exponential))];
        return keys.choice("sigma_schedule", Some(Karras), &names);
    }
    let exclusive = [("karras", Karras), ("exponential", Exponential), ("beta", Beta)];
    let mut asked = Vec::new();
    for (name, spacing) in exclusive {
        if keys.flag(&format!("use_{name}_sigmas"), false)? {
            asked.push((name, spacing));
        }
    }
    let lambdas = keys.flag("use_lu_lambdas", false)?;
    if kind == DpmSolver2MKarras {
        return Ok(Some(Karras));
    }
    if !kind.spacings().contains(&Spacing::Karras) {
        return Ok(None);
    }
    if let &[_, (name, _), ..] = asked.as_slice() {
        // They exclude each other: this gives the error.
        keys.require(&format!("use_{name}_sigmas"), json!(false), json!(false))?;
    }
    // diffusers asks for Karras' first, then for Lu's.
    Ok(match asked.first() {
        Some((_, Karras)) => Some(Karras),
        _ if lambdas && kind.spacings().contains(&Spacing::Lu) => Some(Lu),
        first => first.map(|(_, spacing)| *spacing),
    })
}
