"""Writes schedulers.json and random.json: reference values of diffusers' schedulers and of torch's generator.

    python tests/golden/make_schedulers.py

It needs torch, diffusers and torchsde; made with 2.15, 0.42 and 0.2.6.

Instead of a network, m = 0.3 * input + 0.0001 * timestep + (i - 7.5) / 10 for the i-th of 16
values. Four of the 16 are written, after every step. make_solvers.py has further samplers.
"""

import inspect
import json
import math
import pathlib

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSDEScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)

HERE = pathlib.Path(__file__).parent
SHAPE = (1, 4, 2, 2)
LANES = [0, 5, 10, 15]
SEED = 42
RAMP = ((torch.arange(16, dtype=torch.float32) - 7.5) / 10).reshape(SHAPE)
IMAGE = -2 * RAMP


class UFOGen:
    """UFOGen by the equations of arXiv:2311.09257; diffusers has no such scheduler."""

    init_noise_sigma, order = 1.0, 1

    def __init__(self, inner):
        self.inner = inner
        self.alphas = inner.alphas_cumprod

    @classmethod
    def from_config(cls, config):
        defaults = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
                    "timestep_spacing": "trailing", "clip_sample": False}
        return cls(DDPMScheduler.from_config({**defaults, **config}))

    def set_timesteps(self, steps):
        self.inner.set_timesteps(steps)
        self.timesteps = self.inner.timesteps

    def scale_model_input(self, x, t):
        return x

    def add_noise(self, image, noise, timesteps):
        return self.inner.add_noise(image, noise, timesteps)

    def step(self, m, t, x, generator):
        a, config = self.alphas[t], self.inner.config
        if config.prediction_type == "epsilon":
            original = (x - (1 - a).sqrt() * m) / a.sqrt()
        else:
            original = a.sqrt() * x - (1 - a).sqrt() * m
        if config.clip_sample:
            original = original.clamp(-config.clip_sample_range, config.clip_sample_range)
        later = self.timesteps[self.timesteps < t]
        if len(later) == 0:
            return original, original
        noise = torch.randn(m.shape, generator=generator)
        a = self.alphas[later[0]]
        return a.sqrt() * original + (1 - a).sqrt() * noise, original


class BrownianPath:
    """The noise of DPMSolverSDEScheduler, drawn from a generator instead of from a tree of seeds.

    The scheduler asks for the increment from sigma to the middle of a step, then for that of the whole
    step, which is the sum of the first part's and, independent of it, the second part's.
    """

    def __init__(self, generator):
        self.generator = generator
        self.start = self.middle = self.value = None

    def __call__(self, start, end):
        fresh = torch.randn(SHAPE, generator=self.generator)
        if self.start is None:
            self.start, self.middle = start, end
            self.value = (start - end).sqrt() * fresh
        else:
            assert abs(start - self.start) < 1e-5 * start and end < self.middle < start
            self.value = self.value + (self.middle - end).sqrt() * fresh
            self.start = None
        return self.value / (start - end).sqrt()


KINDS = {
    "ddim": DDIMScheduler,
    "ddpm": DDPMScheduler,
    "euler": EulerDiscreteScheduler,
    "euler-ancestral": EulerAncestralDiscreteScheduler,
    "dpm++2m": DPMSolverMultistepScheduler,
    "dpm++2m-karras": DPMSolverMultistepScheduler,
    "heun": HeunDiscreteScheduler,
    "dpm++2m-sde": DPMSolverMultistepScheduler,
    "dpm++sde": DPMSolverSDEScheduler,
    "unipc": UniPCMultistepScheduler,
    "lcm": LCMScheduler,
    "tcd": TCDScheduler,
    "ufogen": UFOGen,
    "pndm": PNDMScheduler,
}
LATENT = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
          "beta_schedule": "scaled_linear", "trained_betas": None}
CONFIGS = {
    "sd15": {"_class_name": "PNDMScheduler", **LATENT, "clip_sample": False,
             "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1},
    "sd21-v": {"_class_name": "DDIMScheduler", **LATENT, "clip_sample": False,
               "prediction_type": "v_prediction", "set_alpha_to_one": False,
               "skip_prk_steps": True, "steps_offset": 1},
    "sd-turbo": {"_class_name": "EulerDiscreteScheduler", **LATENT, "clip_sample": False,
                 "interpolation_type": "linear", "prediction_type": "epsilon",
                 "sample_max_value": 1.0, "set_alpha_to_one": False, "skip_prk_steps": True,
                 "steps_offset": 1, "timestep_spacing": "trailing", "timestep_type": "discrete",
                 "use_karras_sigmas": False},
    "emoji-64": {"_class_name": "DDIMScheduler", **LATENT, "clip_sample": False,
                 "clip_sample_range": 1.0, "dynamic_thresholding_ratio": 0.995,
                 "prediction_type": "v_prediction", "rescale_betas_zero_snr": False,
                 "sample_max_value": 1.0, "set_alpha_to_one": True, "steps_offset": 0,
                 "thresholding": False, "timestep_spacing": "trailing"},
    "sdxl": {"_class_name": "EulerDiscreteScheduler", **LATENT, "clip_sample": False,
             "interpolation_type": "linear", "prediction_type": "epsilon",
             "rescale_betas_zero_snr": False, "sample_max_value": 1.0, "set_alpha_to_one": False,
             "sigma_max": None, "sigma_min": None, "skip_prk_steps": True, "steps_offset": 1,
             "timestep_spacing": "leading", "timestep_type": "discrete",
             "use_karras_sigmas": False},
    "defaults": {"_class_name": "DDPMScheduler"},
}
# Samplers whose every second evaluation is in the middle of a step: diffusers' add_noise would take the
# level of the step's end there.
WITH_MIDDLES = {"dpm++sde"}
# Samplers with a short list of cases: the long one would repeat what the first samplers test.
LATER = ("heun", "dpm++2m-sde", "dpm++sde", "unipc", "tcd")
SPACINGS = ("leading", "linspace", "trailing", "karras", "exponential")


def spaced(spacing):
    """The configuration keys of a spacing."""
    if spacing in ("karras", "exponential", "beta"):
        return {f"use_{spacing}_sigmas": True}
    if spacing == "lu":
        return {"use_lu_lambdas": True}
    return {"timestep_spacing": spacing}


def cases():
    """The cases, as (kind, name of a config, changes to it, steps, strength, eta)."""
    plms = {"skip_prk_steps": True}
    for kind in KINDS:
        if kind in LATER:
            continue
        for steps in (1, 2, 4, 20, 50):
            yield kind, "sd15", {}, steps, None, 0.0
        for steps in (1, 4, 20):
            yield kind, "emoji-64", plms, steps, None, 0.0
        for steps in (2, 10):
            yield kind, "sd21-v", {}, steps, None, 0.0
        for steps in (1, 4):
            yield kind, "sd-turbo", {}, steps, None, 0.0
        yield kind, "defaults", plms, 6, None, 0.0
        yield kind, "sd15", {"timestep_spacing": "linspace"}, 7, None, 0.0
        yield kind, "sd15", {"beta_schedule": "squaredcos_cap_v2"}, 5, None, 0.0
        for strength in (0.3, 0.7, 0.75, 1.0):
            yield kind, "sd15", {}, 10, strength, 0.0
        if kind not in ("pndm", "euler-ancestral", "ufogen"):
            yield kind, "emoji-64", {"prediction_type": "sample"}, 4, None, 0.0
        if kind != "pndm":
            yield kind, "emoji-64", {"rescale_betas_zero_snr": True}, 4, None, 0.0
        if kind in ("ddim", "ddpm", "lcm", "ufogen"):
            clip = {"clip_sample": True, "clip_sample_range": 1.5}
            yield kind, "sd15", clip, 4, None, 0.0
            yield kind, "emoji-64", clip, 4, None, 0.0
    for eta in (0.5, 1.0):
        for steps in (1, 5, 20):
            yield "ddim", "sd15", {}, steps, None, eta
        yield "ddim", "emoji-64", {}, 5, None, eta
        yield "ddim", "sd15", {}, 10, 0.5, eta
    for variance in ("fixed_large", "fixed_small_log"):
        yield "ddpm", "sd15", {"variance_type": variance}, 5, None, 0.0
    for steps in (1, 5, 20):
        yield "euler", "sd15", {"use_karras_sigmas": True}, steps, None, 0.0
    limits = {"use_karras_sigmas": True, "sigma_min": 0.05, "sigma_max": 9.0}
    yield "euler", "sd15", limits, 5, None, 0.0
    yield "euler", "sd15", {"final_sigmas_type": "sigma_min"}, 5, None, 0.0
    deis = {"algorithm_type": "deis", "solver_type": "logrho", "final_sigmas_type": "sigma_min"}
    yield "dpm++2m", "sd15", deis, 5, None, 0.0
    yield "dpm++2m-karras", "sd15", {}, 10, 0.5, 0.0
    clipped = {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1}
    yield "dpm++2m", "sd15", clipped, 5, None, 0.0
    for steps in (3, 16):
        for change in (
            {"solver_order": 1},
            {"solver_type": "heun"},
            {"final_sigmas_type": "sigma_min"},
            {"final_sigmas_type": "sigma_min", "lower_order_final": False},
            {"final_sigmas_type": "sigma_min", "euler_at_final": True},
        ):
            yield "dpm++2m", "sd15", change, steps, None, 0.0
    yield "lcm", "sd15", {"original_inference_steps": 20, "timestep_scaling": 3.0}, 6, None, 0.0
    yield from later_cases()


def later_cases():
    for kind in LATER:
        eta = None if kind == "tcd" else 0.0
        for steps in (1, 2, 3, 4, 12):
            yield kind, "sd15", {}, steps, None, eta
        for steps in (1, 2, 5):
            yield kind, "emoji-64", {}, steps, None, eta
        yield kind, "sd21-v", {}, 10, None, eta
        yield kind, "sd-turbo", {}, 4, None, eta
        yield kind, "defaults", {}, 6, None, eta
        for strength in (0.3, 0.75):
            yield kind, "sd15", {}, 10, strength, eta
        yield kind, "emoji-64", {}, 4, 0.5, eta
        if kind != "tcd":
            for spacing in SPACINGS[1:]:
                yield kind, "sd15", spaced(spacing), 7, None, eta
                yield kind, "sd21-v", spaced(spacing), 3, None, eta
                yield kind, "sd15", spaced(spacing), 1, None, eta
            limits = {"sigma_min": 0.05, "sigma_max": 9.0}
            for spacing in SPACINGS[3:]:
                yield kind, "sd15", {**limits, **spaced(spacing)}, 4, None, eta
                yield kind, "sd15", spaced(spacing), 6, 0.5, eta
        if kind != "dpm++sde":
            yield kind, "emoji-64", {"prediction_type": "sample"}, 4, None, eta
        yield kind, "sd15", {"beta_schedule": "squaredcos_cap_v2"}, 5, None, eta
        if kind in ("dpm++2m-sde", "unipc", "tcd"):
            yield kind, "emoji-64", {"rescale_betas_zero_snr": True}, 4, None, eta
    for kind in ("euler", "dpm++2m", "dpm++2m-sde", "unipc"):
        for change in ({}, {"final_sigmas_type": "sigma_min"}):
            yield kind, "sd15", {**spaced("exponential"), **change}, 5, None, 0.0
        for spacing in SPACINGS[3:]:
            cosine = {"beta_schedule": "squaredcos_cap_v2", **spaced(spacing)}
            yield kind, "emoji-64", cosine, 5, None, 0.0
    for kind in ("euler", "euler-ancestral"):
        for change in ({}, {"timestep_spacing": "trailing"}):
            for steps in (1, 3, 8):
                yield kind, "sdxl", change, steps, None, 0.0
        turbo = {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True}
        yield kind, "sdxl", {**turbo, "prediction_type": "v_prediction"}, 3, None, 0.0
    clip = {"clip_sample": True, "clip_sample_range": 1.5}
    yield "heun", "sd15", clip, 4, None, 0.0
    for kind in ("dpm++2m-sde", "unipc"):
        for steps in (3, 16):
            for change in (
                {"solver_order": 1},
                {"solver_type": "heun"},
                {"final_sigmas_type": "sigma_min"},
                {"final_sigmas_type": "sigma_min", "lower_order_final": False},
            ):
                yield kind, "sd15", change, steps, None, 0.0
    for steps in (2, 3, 4, 12, 30):
        # bh1 ends in NaN at sigma = 0.
        for change in ({}, {"solver_type": "bh1", "final_sigmas_type": "sigma_min"}):
            yield "unipc", "sd15", {"solver_order": 3, **change}, steps, None, 0.0
    yield "unipc", "emoji-64", {"solver_order": 3, **spaced("karras")}, 8, None, 0.0
    yield "unipc", "sd15", {"solver_order": 3}, 10, 0.5, 0.0
    last = {**spaced("karras"), "final_sigmas_type": "sigma_min"}
    yield "unipc", "sd15", last, 5, None, 0.0
    for eta in (0.0, 0.5, 1.0):
        for steps in (1, 4):
            yield "tcd", "sd15", {}, steps, None, eta
        yield "tcd", "emoji-64", {}, 4, None, eta


def numbers(tensor):
    """f32 values as their shortest decimal numbers."""
    values = np.asarray(tensor, dtype=np.float32).reshape(-1)
    return [float(str(value)) for value in values]


def scheduler_of(kind, config, steps):
    config = {**config, **({"use_karras_sigmas": True} if kind.endswith("karras") else {})}
    if kind.startswith("dpm++") and kind.endswith("m-sde"):
        config["algorithm_type"] = "sde-dpmsolver++"
    if kind.startswith("dpm++3"):
        config["solver_order"] = 3
    scheduler = KINDS[kind].from_config(config)
    scheduler.set_timesteps(steps)
    return scheduler


def noising(kind, config, steps, first):
    """The results of add_noise for an image of ones and for noise of ones, at every step."""
    rows = []
    for i in range(first, len(scheduler_of(kind, config, steps).timesteps)):
        if kind in WITH_MIDDLES and i % 2 == 1:
            rows.append(None)
            continue
        scheduler = scheduler_of(kind, config, steps)
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(i)
        one, zero = torch.ones(1), torch.zeros(1)
        t = scheduler.timesteps[i : i + 1]
        rows.append(numbers([scheduler.add_noise(one, zero, t), scheduler.add_noise(zero, one, t)]))
    return rows


def run(kind, config_name, change, steps, strength, eta):
    config = {**CONFIGS[config_name], **change}
    scheduler = scheduler_of(kind, config, steps)
    generator = torch.Generator().manual_seed(SEED)
    noise = torch.randn(SHAPE, generator=generator)
    first = 0 if strength is None else steps - min(int(steps * strength), steps)
    first *= scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)  # diffusers' own search fails if a timestep comes twice
    if strength is None:
        x = noise * scheduler.init_noise_sigma
    else:
        x = scheduler.add_noise(IMAGE, noise, scheduler.timesteps[first : first + 1])
    timesteps = scheduler.timesteps[first:]
    known = inspect.signature(scheduler.step).parameters
    extra = {"generator": generator} if "generator" in known else {}
    if kind in ("ddim", "ddim-cfg++", "tcd") and eta is not None:
        extra["eta"] = eta
    if kind == "dpm++sde":
        scheduler.noise_sampler = BrownianPath(generator)
    samples, original = [], None
    for t in timesteps:
        m = 0.3 * scheduler.scale_model_input(x, t) + (t.float() * 1e-4 + RAMP)
        uncond = m
        if kind.endswith("cfg++"):
            # Guidance with the scale 0.6 by a conditional output of 0.5 * input - 0.2.
            m = uncond + 0.6 * (0.5 * scheduler.scale_model_input(x, t) - 0.2 - uncond)
            extra["uncond"] = uncond
        if kind == "lms":
            # diffusers counts the steps before the first one too, and then drops their terms.
            extra["order"] = min(len(samples) + 1, 4)
        result = scheduler.step(m, t, x, **extra)
        if original is None:
            if isinstance(result, tuple):
                original = result[1]
            elif getattr(scheduler.config, "algorithm_type", "") == "deis":
                original = torch.zeros(0)  # its outputs are noises
            elif hasattr(scheduler, "model_outputs"):
                original = scheduler.model_outputs[-1]
            elif kind not in ("lcm", "tcd", "pndm"):
                original = result.pred_original_sample
            else:
                original = torch.zeros(0)
        x = result[0]
        samples.append([numbers(x)[lane] for lane in LANES])
    return {
        "kind": kind, "config": config_name, "change": change, "steps": steps,
        "strength": strength, "eta": eta, "initial_scale": numbers(scheduler.init_noise_sigma)[0],
        "timesteps": numbers(timesteps), "samples": samples,
        "original": [value for i, value in enumerate(numbers(original)) if i in LANES],
        "noising": noising(kind, config, steps, first),
    }


class Philox:
    """Philox 4x32-10 (Salmon et al., SC 2011) and the normal values of AUTOMATIC1111's
    rng_philox.py, in f64 but for one constant."""

    def __init__(self, seed):
        self.key, self.draws = (seed & 0xFFFFFFFF, seed >> 32), 0

    def words(self, index):
        c, k, low = (self.draws, 0, index, 0), self.key, 0xFFFFFFFF
        for _ in range(10):
            a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
            c = (b >> 32 ^ c[1] ^ k[0], b & low, a >> 32 ^ c[3] ^ k[1], a & low)
            k = (k[0] + 0x9E3779B9 & low, k[1] + 0xBB67AE85 & low)
        return c

    def normal(self, n):
        turn, values = float(np.float32(2 * math.pi / 2**32)), []
        for index in range(n):
            x, y, _, _ = self.words(index)
            values.append(math.sqrt(-2 * math.log((x + 0.5) / 2**32)) * math.sin(y * turn + turn / 2))
        self.draws += 1
        return values


class Torch:
    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, n):
        side = math.isqrt(n // 4)
        shape = (1, 4, side, side) if n in LATENTS else (n,)
        return torch.randn(shape, generator=self.generator)


LATENTS = (4 * 64 * 64, 4 * 128 * 128)


def random_cases():
    """Consecutive draws from one generator; of long ones the first and the last eight values."""
    mixed = (1, 3, 16, 15, 17, 0, 2, 100, 1, 4096, 5)
    for kind in (Torch, Philox):
        for seed in (0, 42, 2**31, 2**32 + 42, 2**64 - 3):
            yield kind, seed, mixed if kind is Torch else (1, 3, 16, 0, 100)
        for n in LATENTS:
            yield kind, 2**32 + 7, (n, n)


def draws(kind, seed, sizes):
    generator, rows = kind(seed), []
    for n in sizes:
        values = np.asarray(generator.normal(n), dtype=np.float32).reshape(-1)
        total = math.fsum(values.tolist())
        rows.append({"n": n, "first": numbers(values[:8]), "last": numbers(values[-8:]), "sum": total})
    return {"kind": kind.__name__.lower(), "seed": str(seed), "draws": rows}


def write(name, value):
    rows = ",\n".join(json.dumps(row, separators=(",", ":"), allow_nan=False) for row in value.pop("cases"))
    head = json.dumps(value)[:-1] + (", " if value else "")
    (HERE / name).write_text(f'{head}"cases": [\n{rows}\n]}}\n')


if __name__ == "__main__":
    torch.set_num_threads(1)
    rows = [run(*case) for case in cases()]
    write("schedulers.json", {"seed": SEED, "lanes": LANES, "configs": CONFIGS, "cases": rows})
    write("random.json", {"cases": [draws(*case) for case in random_cases()]})
