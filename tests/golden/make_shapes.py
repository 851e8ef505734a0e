"""Writes sd15_unet_shapes.json: names and shapes of the weights of Stable Diffusion 1.5's UNet.

    python tests/golden/make_shapes.py        (diffusers; no weights are needed, nor any download)
"""
import json, os
import torch
from diffusers import UNet2DConditionModel

# The arguments of the published unet/config.json that differ from diffusers' defaults.
with torch.device("meta"):
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
shapes = {name: list(tensor.shape) for name, tensor in unet.state_dict().items()}
count = sum(tensor.numel() for tensor in unet.state_dict().values())
assert count == 859_520_964, count
out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sd15_unet_shapes.json")
with open(out, "w") as file:
    json.dump(shapes, file, separators=(",", ":"))
print(len(shapes), "weights,", count, "parameters")
