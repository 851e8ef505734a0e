//! DPM-Solver++ of first to third order, multistep: Lu et al., *DPM-Solver++: fast solver for guided
//! sampling of diffusion probabilistic models*, arXiv:2211.01095, algorithm 2.
//!
//! The derivatives of a step ([`Factors`]) are differences of the image m₀ that is predicted now and
//! those of the steps before, with rₖ the length in λ of the step from mₖ₊₁ to mₖ, in units of this
//! step's:
//!
//! ```text
//! order 2   D₁ = d₀                               dₖ = (mₖ − mₖ₊₁)/rₖ
//! order 3   D₁ = d₀ + r₀/(r₀ + r₁)·(d₀ − d₁)      D₂ = (d₀ − d₁)/(r₀ + r₁)
//! ```

use super::exponential::Factors;
use super::kind::SchedulerKind;
use super::multistep::{Level, levels};
use super::settings::SamplerSettings;
use super::step::{HISTORY, Keep, Step};
use crate::error::Result;

/// The history slots: the predicted images of two steps in turn.
const SLOTS: usize = 2;

pub(super) fn steps(
    settings: &SamplerSettings,
    kind: SchedulerKind,
    steps: usize,
    start: usize,
) -> Result<Vec<Step>> {
    let (timesteps, levels) = levels(settings, kind, steps)?;
    let at = |i: usize| levels[i].evaluation(settings, timesteps[i]);
    Ok(multistep(settings, &levels, start, at))
}

/// The steps between levels from number `start` on; `at` gives the evaluation at a level, whose
/// coefficients of the next sample are set here.
pub(super) fn multistep(
    settings: &SamplerSettings,
    levels: &[Level],
    start: usize,
    at: impl Fn(usize) -> Step,
) -> Vec<Step> {
    let count = levels.len() - 1;
    let few = settings.lower_order_final && count < 15;
    let order = |i: usize| {
        // The last step is of first order for stability: always if it ends at σ = 0.
        let last = settings.euler_at_final || few || settings.final_sigma_zero;
        let limit = match count - i {
            1 if last => 1,
            2 if few => 2,
            _ => settings.solver_order,
        };
        limit.min(settings.solver_order).min(i - start + 1)
    };
    let step = |i: usize| {
        let (now, next) = (levels[i], levels[i + 1]);
        let h = next.lambda - now.lambda;
        let factors = Factors::between(settings, now, next);
        let mut coefficients = factors.first_order();
        let slot = |age: usize| (i - age) % SLOTS;
        let ratio = |age: usize| (levels[i - age].lambda - levels[i - age - 1].lambda) / h;
        match order(i) {
            1 => {}
            2 => {
                let newest = factors.second_order / ratio(0);
                coefficients.original += newest;
                coefficients.history[slot(1)] = -newest;
            }
            _ => {
                let [r0, r1] = [ratio(0), ratio(1)];
                let bend = factors.first * (r0 / (r0 + r1)) + factors.second / (r0 + r1);
                let (newest, older) = ((factors.first + bend) / r0, -bend / r1);
                coefficients.original += newest;
                coefficients.history[slot(1)] = older - newest;
                coefficients.history[slot(2)] = -older;
            }
        }
        let mut keep = [Keep::Nothing; HISTORY];
        keep[slot(0)] = Keep::Original;
        Step { next: coefficients, keep, draws_noise: settings.stochastic, ..at(i) }
    };
    (start..count).map(step).collect()
}
