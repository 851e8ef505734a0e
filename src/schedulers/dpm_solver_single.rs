//! DPM-Solver++ of first to third order in single steps: Lu et al., *DPM-Solver++: fast solver for guided
//! sampling of diffusion probabilistic models*, arXiv:2211.01095, algorithm 1; its third order after
//! *DPM-Solver*, arXiv:2206.00927, algorithm 2.
//!
//! Steps come in groups of up to three, of orders 1, 2, 3, which all go from the group's first sample and
//! level. With m the images predicted at the group's levels and rₖ the length in λ from the first level to
//! level k, in units of the step's, the derivatives of a step ([`Factors`]) are
//!
//! ```text
//! order 2   D₁ = d₁                               dₖ = (mₖ − m₀)/rₖ
//! order 3   D₁ = d₂                               midpoint, without D₂
//!           D₁ = (r₂·d₁ − r₁·d₂)/(r₂ − r₁)        D₂ = 2·(d₂ − d₁)/(r₂ − r₁), Heun
//! ```

use super::exponential::Factors;
use super::kind::SchedulerKind;
use super::multistep::levels;
use super::settings::{SamplerSettings, SolverType};
use super::step::{HISTORY, Keep, Step};
use crate::error::Result;

/// The history slots: the images of a group's first two levels, and its first sample.
const FIRST: usize = 0;
const SECOND: usize = 1;
const SAMPLE: usize = 2;

pub(super) fn steps(
    settings: &SamplerSettings,
    kind: SchedulerKind,
    steps: usize,
    start: usize,
) -> Result<Vec<Step>> {
    let (timesteps, levels) = levels(settings, kind, steps)?;
    let orders = orders(settings, steps);
    let step = |i: usize| {
        // A run that starts inside of a group has not seen its first levels.
        let order = orders[i].min(i - start + 1);
        let (first, next) = (levels[i + 1 - order], levels[i + 1]);
        let h = next.lambda - first.lambda;
        let factors = Factors::between(settings, first, next);
        let mut coefficients = factors.first_order();
        let ratio = |level: usize| (levels[i + 1 - order + level].lambda - first.lambda) / h;
        let mut keep = [Keep::Nothing; HISTORY];
        if order == 1 {
            (keep[FIRST], keep[SAMPLE]) = (Keep::Original, Keep::Sample);
        } else {
            // The factors of d₁ and d₂.
            let [second, third] = match (order, settings.solver_type) {
                (2, _) => [factors.second_order, 0.0],
                (_, SolverType::Heun) => {
                    let [r1, r2] = [ratio(1), ratio(2)];
                    let (slope, bend) =
                        (factors.first / (r2 - r1), 2.0 * factors.second / (r2 - r1));
                    [slope * r2 - bend, bend - slope * r1]
                }
                _ => [0.0, factors.first],
            };
            coefficients.history[SAMPLE] = std::mem::take(&mut coefficients.sample);
            let newest = if order == 2 { second / ratio(1) } else { third / ratio(2) };
            coefficients.history[FIRST] = coefficients.original - newest;
            coefficients.original = newest;
            if order == 2 {
                keep[SECOND] = Keep::Original;
            } else {
                coefficients.history[SECOND] = second / ratio(1);
                coefficients.history[FIRST] -= second / ratio(1);
            }
        }
        Step {
            next: coefficients,
            keep,
            draws_noise: settings.stochastic,
            ..levels[i].evaluation(settings, timesteps[i])
        }
    };
    Ok((start..steps).map(step).collect())
}

/// The order of every step (diffusers' `get_order_list`).
fn orders(settings: &SamplerSettings, steps: usize) -> Vec<usize> {
    let highest = settings.solver_order;
    let mut orders: Vec<usize> = (0..steps).map(|i| i % highest + 1).collect();
    let lower =
        settings.lower_order_final && steps.is_multiple_of(highest) || settings.final_sigma_zero;
    if let (true, Some(last)) = (lower, orders.last_mut()) {
        *last = 1;
    }
    orders
}
