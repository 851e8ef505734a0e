#!/usr/bin/env python3
"""Writes guidance/: runs of diffusers' pipelines with `guidance_rescale` and `eta` on the model of sd1-tiny, in the form that make.py
documents.

    python tests/golden/make_guidance.py

It needs what make.py needs; made with diffusers 0.42 and PyTorch 2.15.
"""
import os, sys

sys.dont_write_bytecode = True
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline
from fixtures import HERE
from fixtures.files import dump_golden
from fixtures.runs import run

if __name__ == "__main__":
    pipe = StableDiffusionPipeline.from_pretrained(os.path.join(HERE, "sd1-tiny"), safety_checker=None, requires_safety_checker=False).to(torch.float32)
    pipe.set_progress_bar_config(disable=True)
    base, out = pipe.scheduler.config, os.path.join(HERE, "guidance")
    os.makedirs(out, exist_ok=True)
    T, J = {}, {"runs": {}}
    small = dict(decode=False, num_inference_steps=4, height=64, width=64)
    ddim, euler = DDIMScheduler.from_config(base), EulerDiscreteScheduler.from_config(base)
    run(T, J, "txt2img.ddim_rescale", pipe, ddim, guidance_rescale=0.7, **small)
    run(T, J, "txt2img.ddim_eta", pipe, ddim, eta=0.6, **small)
    run(T, J, "txt2img.ddim_both", pipe, ddim, guidance_rescale=1.0, eta=1.0, **small)
    run(T, J, "txt2img.euler_rescale", pipe, euler, guidance_rescale=0.5, **small)
    dump_golden(out, T, J, made_by="make_guidance.py")
