"""Writes solvers.json: reference values of diffusers' schedulers that make_schedulers.py does not have,
in the same form and with the same model.

    python tests/golden/make_solvers.py

It needs torch, diffusers, scipy and torchsde; made with 2.15, 0.42, 1.17 and 0.2.6.
"""

import torch
from diffusers import (
    DDIMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LMSDiscreteScheduler,
)
from diffusers.utils import logging

from make_schedulers import CONFIGS, KINDS, LANES, SEED, SPACINGS, WITH_MIDDLES, run, spaced, write

SOLVERS = {
    "dpm2": KDPM2DiscreteScheduler,
    "dpm2-ancestral": KDPM2AncestralDiscreteScheduler,
    "lms": LMSDiscreteScheduler,
    "deis": DEISMultistepScheduler,
    "dpm++2s": DPMSolverSinglestepScheduler,
    "dpm++3s": DPMSolverSinglestepScheduler,
    "dpm++3m": DPMSolverMultistepScheduler,
    "dpm++3m-sde": DPMSolverMultistepScheduler,
}


class CfgPp:
    """CFG++ (arXiv:2406.08070, algorithm 2) around a scheduler of diffusers: the image of the guided output,
    and the noise of the unconditional one, go into the next sample."""

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def from_config(cls, config):
        return cls(cls.inner_class.from_config(config))

    def __getattr__(self, name):
        return getattr(self.inner, name)


class DdimCfgPp(CfgPp):
    inner_class = DDIMScheduler

    def step(self, m, t, x, uncond, generator, eta):
        image = self.inner.step(m, t, x).pred_original_sample
        own = self.inner.step(uncond, t, x)
        a, config = self.inner.alphas_cumprod[t], self.inner.config
        previous = int(t) - config.num_train_timesteps // self.inner.num_inference_steps
        a_next = self.inner.alphas_cumprod[previous] if previous >= 0 else self.inner.final_alpha_cumprod
        noise = {"epsilon": lambda: uncond,
                 "v_prediction": lambda: a.sqrt() * uncond + (1 - a).sqrt() * x,
                 "sample": lambda: (x - a.sqrt() * own.pred_original_sample) / (1 - a).sqrt()}[config.prediction_type]()
        deviation = eta * self.inner._get_variance(int(t), previous) ** 0.5
        out = a_next.sqrt() * image + (1 - a_next - deviation**2).sqrt() * noise
        if eta > 0:
            out = out + deviation * torch.randn(m.shape, generator=generator)
        return out, image


class EulerCfgPp(CfgPp):
    """As ComfyUI's `sample_euler_cfg_pp`: x' = x0 + sigma' * (x - x0 of the unconditional output) / sigma."""

    inner_class = EulerDiscreteScheduler

    def step(self, m, t, x, uncond, generator):
        scheduler = self.inner
        if scheduler.step_index is None:
            scheduler._init_step_index(t)
        sigma, sigma_next = scheduler.sigmas[scheduler.step_index : scheduler.step_index + 2]
        index = scheduler.step_index
        image = scheduler.step(m, t, x).pred_original_sample
        scheduler._step_index = index
        own = scheduler.step(uncond, t, x).pred_original_sample
        return image + sigma_next * (x - own) / sigma, image


CFG_PP = {"ddim-cfg++": DdimCfgPp, "euler-cfg++": EulerCfgPp}
EDM = {"edm-euler": EDMEulerScheduler, "edm-dpm++": EDMDPMSolverMultistepScheduler}
KINDS.update(SOLVERS)
KINDS.update(EDM)
KINDS.update(CFG_PP)
WITH_MIDDLES |= {"dpm2", "dpm2-ancestral"}
CONFIGS["playground"] = {"_class_name": "EDMDPMSolverMultistepScheduler", "algorithm_type": "dpmsolver++",
                         "euler_at_final": False, "final_sigmas_type": "zero", "lower_order_final": True,
                         "num_train_timesteps": 1000, "prediction_type": "epsilon", "rho": 7.0,
                         "sigma_data": 0.5, "sigma_max": 80.0, "sigma_min": 0.002, "solver_order": 2,
                         "solver_type": "midpoint", "thresholding": False}
STOCHASTIC = {"algorithm_type": "sde-dpmsolver++"}
LAST = {"final_sigmas_type": "sigma_min"}


def cases():
    """The cases, as (kind, name of a config, changes to it, steps, strength, eta)."""
    for kind in SOLVERS:
        for steps in (1, 2, 3, 12):
            # From sigma = 14.6 to 0.03, sigma_down is lost to rounding in dpm2-ancestral.
            if (kind, steps) != ("dpm2-ancestral", 2):
                yield kind, "sd15", {}, steps, None, 0.0
        for steps in (1, 5):
            yield kind, "emoji-64", {}, steps, None, 0.0
        yield kind, "sd21-v", {}, 6, None, 0.0
        yield kind, "sd-turbo", {}, 4, None, 0.0
        yield kind, "defaults", {}, 6, None, 0.0
        for strength in (0.3, 0.75):
            yield kind, "sd15", {}, 10, strength, 0.0
        for spacing in SPACINGS[1:] + ("beta",):
            yield kind, "sd15", spaced(spacing), 5, None, 0.0
        yield kind, "sd21-v", spaced("karras"), 3, None, 0.0
        limits = {"sigma_min": 0.05, "sigma_max": 9.0}
        for spacing in SPACINGS[3:] + ("beta",):
            yield kind, "sd15", {**limits, **spaced(spacing)}, 4, None, 0.0
        if kind != "dpm2-ancestral":  # NaN: sigma_down is the root of a difference below zero
            yield kind, "sd15", {"beta_schedule": "squaredcos_cap_v2"}, 5, None, 0.0
        if not kind.startswith("dpm2"):
            yield kind, "emoji-64", {"prediction_type": "sample"}, 4, None, 0.0
            yield kind, "sd15", {}, 50, None, 0.0
    yield from deis_cases()
    yield from dpm_solver_cases()
    yield from spacing_cases()
    yield from edm_cases()
    for kind in CFG_PP:
        for steps in (1, 4, 12):
            yield kind, "sd15", {}, steps, None, 0.0
        for config in ("emoji-64", "sd21-v", "sd-turbo"):
            yield kind, config, {}, 4, None, 0.0
        yield kind, "sd15", {}, 10, 0.5, 0.0
        yield kind, "sd15", {"prediction_type": "sample"}, 4, None, 0.0
        yield kind, "sd15", {"timestep_spacing": "trailing"}, 5, None, 0.0
    yield "ddim-cfg++", "sd15", {}, 5, None, 0.5
    yield "euler-cfg++", "sd15", spaced("karras"), 5, None, 0.0
    for config in ("sd15", "sd21-v", "emoji-64"):
        for steps in (4, 5, 10, 15):
            yield "pndm", config, {"skip_prk_steps": False}, steps, None, 0.0


def deis_cases():
    for order in (1, 3):
        for steps in (3, 6, 16, 30):
            yield "deis", "sd15", {"solver_order": order}, steps, None, 0.0
    yield "deis", "sd21-v", {"solver_order": 3, "lower_order_final": False}, 6, None, 0.0
    yield "deis", "sd15", {"solver_order": 3}, 10, 0.5, 0.0


def dpm_solver_cases():
    for kind in ("dpm++3m", "dpm++3m-sde"):
        for change in ({}, {"solver_type": "heun"}, {**LAST, "lower_order_final": False}):
            for steps in (4, 20):
                yield kind, "sd15", {**change, **LAST}, steps, None, 0.0
        yield kind, "sd15", {"euler_at_final": True, **LAST}, 16, None, 0.0
        yield kind, "emoji-64", {"rescale_betas_zero_snr": True}, 4, None, 0.0
        yield kind, "sd15", spaced("lu"), 7, None, 0.0
    for kind in ("dpm++2s", "dpm++3s"):
        for change in ({}, LAST, {**LAST, "lower_order_final": True}):
            for solver in ("midpoint", "heun"):
                for steps in (6, 7, 8):
                    yield kind, "sd15", {"solver_type": solver, **change}, steps, None, 0.0
            yield kind, "sd15", {**STOCHASTIC, **change}, 6, None, 0.0
        yield kind, "sd15", {**STOCHASTIC, "solver_type": "heun"}, 7, None, 0.0
        for strength in (0.4, 0.5, 0.6, 0.8):
            yield kind, "sd15", {}, 10, strength, 0.0
        clipped = {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1}
        yield kind, "sd15", clipped, 5, None, 0.0
    yield "dpm++2s", "sd15", {"solver_order": 1}, 5, None, 0.0


def spacing_cases():
    for kind in ("euler", "heun", "dpm++sde", "unipc", "dpm++2m", "dpm++2m-sde"):
        for steps in (1, 2, 9):
            yield kind, "sd15", spaced("beta"), steps, None, 0.0
        yield kind, "sd21-v", {**spaced("beta"), "sigma_min": 0.05, "sigma_max": 9.0}, 5, None, 0.0
        if kind not in ("euler", "heun"):  # from sigma = 20291, where these two lose digits
            cosine = {**spaced("beta"), "beta_schedule": "squaredcos_cap_v2"}
            yield kind, "emoji-64", cosine, 5, None, 0.0
    for kind in ("dpm++2m", "dpm++2m-sde"):
        for change in ({}, {"beta_schedule": "squaredcos_cap_v2"}, {"sigma_min": 0.05}, LAST):
            for steps in (1, 6):
                yield kind, "sd15", {**spaced("lu"), **change}, steps, None, 0.0
        yield kind, "sd15", {**spaced("lu"), **spaced("beta")}, 5, None, 0.0
        yield kind, "sd15", {**spaced("lu"), **spaced("karras")}, 5, None, 0.0


def edm_cases():
    for kind in EDM:
        # In a step or two from sigma = 80 edm-euler's subtraction loses digits.
        for steps in (5, 20) if kind == "edm-euler" else (1, 2, 5, 20):
            yield kind, "playground", {}, steps, None, 0.0
        for change in (
            {"prediction_type": "v_prediction"},
            {"sigma_schedule": "exponential"},
            {"sigma_min": 0.05, "sigma_max": 120.0, "sigma_data": 1.0, "rho": 5.0},
            LAST,
        ):
            yield kind, "playground", change, 6, None, 0.0
        yield kind, "playground", {}, 10, 0.5, 0.0
        yield kind, "defaults", {}, 6, None, 0.0
    for change in (
        {"solver_order": 1},
        {"solver_order": 3},
        {"solver_order": 3, "solver_type": "heun", "lower_order_final": False},
        {"solver_type": "heun"},
        {"euler_at_final": True, **LAST},
        STOCHASTIC,
        {"solver_type": "heun", **STOCHASTIC},
    ):
        for steps in (4, 16):
            yield "edm-dpm++", "playground", change, steps, None, 0.0


if __name__ == "__main__":
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    rows = [run(*case) for case in cases()]
    write("solvers.json", {"seed": SEED, "lanes": LANES, "configs": CONFIGS, "cases": rows})
