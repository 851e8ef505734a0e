#!/usr/bin/env python3
"""Makes lora/: one LoRA of the UNet and the text encoder of sd1-tiny in three layouts, and the weights merged by peft.

    kohya.safetensors      as sd-scripts writes it: `lora_unet_…`, `lora_te_…`, alpha beside every layer
    peft.safetensors       as `StableDiffusionPipeline.save_lora_weights` writes it, peft's configuration in the metadata
    old.safetensors        as diffusers wrote it before peft: attention processors, `.lora.` and `.lora_linear_layer.`; it has no alpha,
                           so that up is multiplied with alpha/r, in f32
    golden.safetensors     f32, some of the weights that the LoRA changes, under the names of the model's files: after
                           peft merged it (`merged.`), and merged with weight 0.5 on top of that (`twice.`)

Alpha differs from the rank everywhere, and convolutions have a rank of their own. The script also has diffusers load the three files
and compares. Needs `pip install peft` besides the packages of models/train/requirements.txt.

    python tests/golden/make_lora.py
"""
import os, sys
from importlib.metadata import version

sys.dont_write_bytecode = True
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from transformers import CLIPTextModel

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "lora")
torch.set_num_threads(1)
torch.set_grad_enabled(False)

UNET = r"(down_blocks\.0|mid_block)\.attentions\.0\.(proj_in|.*attn2\.to_(q|k|v|out\.0)|.*ff\.net\.0\.proj)|" \
       r"down_blocks\.0\.(resnets\.0\.(conv1|time_emb_proj)|downsamplers\.0\.conv)|conv_in"
TEXT = r".*layers\.0\.(self_attn\.(q_proj|out_proj)|mlp\.fc1)"
KEPT = {
    "unet": ["conv_in", "down_blocks.0.resnets.0.conv1", "down_blocks.0.resnets.0.time_emb_proj", "down_blocks.0.attentions.0.proj_in",
             "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"],
    "text_encoder": ["encoder.layers.0.self_attn.q_proj", "encoder.layers.0.self_attn.out_proj", "encoder.layers.0.mlp.fc1"],
}


def adapter(model, config, seed):
    """Adds the LoRA with seeded matrices, rounded to f16 as the files have them."""
    model.add_adapter(config)
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters()):
        if "lora_" in name:
            p.copy_((torch.randn(p.shape, generator=generator) * 0.3).half())
    return {k: v.half().contiguous() for k, v in get_peft_model_state_dict(model).items()}


def alpha(config, module):
    return config.alpha_pattern.get("^" + module, config.lora_alpha)


def old(component, key):
    """A module's key in the layout of diffusers before peft."""
    module, part = key.rsplit(".lora_", 1)
    part = {"A.weight": "down.weight", "B.weight": "up.weight"}[part]
    parent, _, layer = module.rpartition(".")
    if component == "text_encoder":
        return f"text_encoder.text_model.{module}.lora_linear_layer.{part}"
    if module.endswith(".to_out.0"):
        return f"unet.{module.removesuffix('.to_out.0')}.processor.to_out_lora.{part}"
    if layer in ("to_q", "to_k", "to_v"):
        return f"unet.{parent}.processor.{layer}_lora.{part}"
    return f"unet.{module}.lora.{part}"


def kohya(component, key):
    module, part = key.rsplit(".lora_", 1)
    part = {"A.weight": "lora_down.weight", "B.weight": "lora_up.weight", "alpha": "alpha"}[part]
    prefix = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}[component]
    return f"{prefix}{module.replace('.', '_')}.{part}"


root = os.path.join(HERE, "sd1-tiny")
models = {
    "unet": UNet2DConditionModel.from_pretrained(os.path.join(root, "unet"), torch_dtype=torch.float32),
    "text_encoder": CLIPTextModel.from_pretrained(os.path.join(root, "text_encoder"), dtype=torch.float32),
}
configs = {
    "unet": LoraConfig(r=3, lora_alpha=2, target_modules=UNET, init_lora_weights=False,
                       rank_pattern={"^down_blocks.0.resnets.0.conv1": 2, "^conv_in": 4},
                       alpha_pattern={"^down_blocks.0.resnets.0.conv1": 5, "^conv_in": 1}),
    "text_encoder": LoraConfig(r=4, lora_alpha=6, target_modules=TEXT, init_lora_weights=False),
}
os.makedirs(OUT, exist_ok=True)
states = {c: adapter(models[c], configs[c], seed) for seed, c in enumerate(models)}
metadata = {f"{c}_lora_adapter_metadata": models[c].peft_config["default"].to_dict() for c in models}
for c, m in zip(models, metadata.values()):
    m["target_modules"] = sorted({key.rsplit(".lora_", 1)[0] for key in states[c]})  # a pattern would not be loaded
    m["base_model_name_or_path"] = None  # a path of this machine
StableDiffusionPipeline.save_lora_weights(OUT, unet_lora_layers=states["unet"], text_encoder_lora_layers=states["text_encoder"],
                                          weight_name="peft.safetensors", **metadata)
tensors = {"kohya": {}, "old": {}}
for c, state in states.items():
    for key, value in state.items():
        module, part = key.rsplit(".lora_", 1)
        a = float(alpha(configs[c], module))
        tensors["kohya"][kohya(c, key)] = value
        tensors["kohya"][kohya(c, f"{module}.lora_alpha")] = torch.tensor(a)
        tensors["old"][old(c, key)] = value if part == "A.weight" else value.float() * (a / value.shape[1])
for name in tensors:
    save_file(tensors[name], os.path.join(OUT, f"{name}.safetensors"), {"format": "pt"})

golden = {}
for c, model in models.items():
    layers = dict(model.named_modules())
    for key in KEPT[c]:
        layer = layers[key]
        assert isinstance(layer, LoraLayer), key
        weight, delta = layer.get_base_layer().weight, layer.get_delta_weight("default")
        twice = weight + delta + 0.5 * delta
        layer.merge()
        golden[f"merged.{c}.{key}.weight"] = layer.get_base_layer().weight.clone()
        golden[f"twice.{c}.{key}.weight"] = twice.clone()
save_file(golden, os.path.join(OUT, "golden.safetensors"), {"peft": version("peft")})

for name in ["kohya", "peft", "old"]:
    pipe = StableDiffusionPipeline.from_pretrained(root, safety_checker=None, feature_extractor=None, torch_dtype=torch.float32)
    pipe.load_lora_weights(os.path.join(OUT, f"{name}.safetensors"))
    pipe.fuse_lora()
    pipe.unload_lora_weights()
    for key, merged in golden.items():
        if key.startswith("merged."):
            _, c, weight = key.split(".", 2)
            far = (dict(getattr(pipe, c).named_parameters())[weight] - merged).abs().max().item()
            assert far < 1e-6, (name, key, far)
