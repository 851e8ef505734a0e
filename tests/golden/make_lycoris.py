#!/usr/bin/env python3
"""Makes lora/lycoris/: three layers of sd1-tiny's UNet changed by each method, by LyCORIS and peft.

    KIND.safetensors                         a file as LyCORIS writes it, half of them with its own prefix, half with kohya's
    KIND/adapter_model.safetensors, …json    a folder as peft writes it
    golden.safetensors                       f32: `KIND.merged.WEIGHT`, the changed weights; `KIND.part.WEIGHT`, the first outputs with weight 0.6;
                                             `KIND.conv_out`, what the UNet makes of sd1-tiny's inputs with the method's own modules in it

LyCORIS' `get_merged_weight` multiplies a LoHa and a LoKr with their scale twice, its `forward` once; the weights are those of `forward`.
With weight 0.6 DoRA is W + 0.6·(W' − W), as LyCORIS' `apply_dora_scale` and AUTOMATIC1111 have it; LyCORIS' modules themselves add all of
the low-rank change at any multiplier, and differ from that except at 1. peft puts the weight into the norm.

    pip install lycoris-lora==4.1.0 peft==0.21.0
    python tests/golden/make_lycoris.py
"""
import json, os, shutil, sys
from importlib.metadata import version

sys.dont_write_bytecode = True
import torch
from diffusers import UNet2DConditionModel
from lycoris.functional.general import apply_dora_scale
from lycoris.modules import FullModule, IA3Module, LoConModule, LohaModule, LokrModule, NormModule
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import safe_open
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT, OUT = os.path.join(HERE, "sd1-tiny"), os.path.join(HERE, "lora", "lycoris")
torch.set_num_threads(1)
torch.set_grad_enabled(False)
PART = 0.6
LINEAR = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
LAYERS = ["conv_in", LINEAR, "mid_block.attentions.0.proj_in"]
NORMS = ["conv_norm_out", "down_blocks.0.attentions.0.transformer_blocks.0.norm1"]
KEPT = ["conv_in.weight", LINEAR + ".weight", "conv_in.bias", NORMS[0] + ".weight", NORMS[1] + ".bias"]

with safe_open(os.path.join(ROOT, "golden.safetensors"), "pt") as f:
    SAMPLE, CONTEXT = f.get_tensor("unet.sample"), f.get_tensor("unet.encoder_hidden_states")
    PLAIN = f.get_tensor("unet.conv_out")
TIMESTEP = json.load(open(os.path.join(ROOT, "golden.json")))["unet"]["timestep"]


def unet():
    return UNet2DConditionModel.from_pretrained(os.path.join(ROOT, "unet"), torch_dtype=torch.float32).eval()


def run(model):
    return model(SAMPLE.float(), TIMESTEP, encoder_hidden_states=CONTEXT.float()).sample


def randomise(tensors, seed):
    """Seeded values in place, rounded to f16 as the files have them; magnitudes stay near the norms that they are made of."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(tensors):
        noise = torch.randn(p.shape, generator=generator)
        p.copy_((p * (1 + 0.3 * noise) if "dora" in name or "magnitude" in name else noise * 0.6).half())


# The kind: the class, its arguments, and LyCORIS' own prefix or kohya's.
OWN, KOHYA = "lycoris_", "lora_unet_"
LYCORIS = {
    "locon-tucker": (LoConModule, dict(lora_dim=3, alpha=2, use_tucker=True), KOHYA),
    "loha": (LohaModule, dict(lora_dim=3, alpha=2), OWN),
    "loha-tucker": (LohaModule, dict(lora_dim=3, alpha=2, use_tucker=True), KOHYA),
    "lokr": (LokrModule, dict(lora_dim=2, alpha=3, factor=2), OWN),
    "lokr-both": (LokrModule, dict(lora_dim=1, alpha=3, decompose_both=True), KOHYA),
    "lokr-tucker": (LokrModule, dict(lora_dim=2, alpha=3, factor=2, use_tucker=True), OWN),
    "lokr-full": (LokrModule, dict(lora_dim=2, alpha=3, factor=4, full_matrix=True), KOHYA),
    "dora": (LoConModule, dict(lora_dim=3, alpha=2, weight_decompose=True), OWN),
    "dora-inputs": (LoConModule, dict(lora_dim=3, alpha=2, weight_decompose=True, wd_on_out=False), KOHYA),
    "loha-dora": (LohaModule, dict(lora_dim=3, alpha=2, weight_decompose=True), KOHYA),
    "full": (FullModule, dict(), KOHYA),
    "ia3": (IA3Module, dict(), OWN),
    "ia3-inputs": (IA3Module, dict(train_on_input=True), KOHYA),
}
PEFT = {
    "peft-dora": LoraConfig(r=3, lora_alpha=2, use_dora=True, target_modules=LAYERS),
    "peft-loha": LoHaConfig(r=3, alpha=2, use_effective_conv2d=True, target_modules=LAYERS),
    "peft-lokr": LoKrConfig(r=8, alpha=3, decompose_factor=2, target_modules=LAYERS, rank_pattern={"conv_in": 2}),
}


def lycoris_weights(module, multiplier):
    """The changed weight, and bias if the method changes it, by the lines of each module's `forward`."""
    if isinstance(module, (FullModule, NormModule)):
        return module.make_weight(multiplier)
    if isinstance(module, IA3Module):
        return module.get_merged_weight(multiplier)
    weight = module.org_weight
    diff = module.make_weight() * module.scale if isinstance(module, LoConModule) else module.get_weight(module.shape)
    if not module.wd:
        return weight + diff * multiplier, None
    changed = module.apply_weight_decompose(weight + diff)
    part = weight + multiplier * (changed - weight)
    if not module.wd_on_out:
        other = apply_dora_scale(weight, diff, module.dora_scale, multiplier)
        assert (other - part).abs().max() < 1e-5
    return part, None


def lycoris_kind(kind, cls, arguments, prefix, seed):
    model = unet()
    named = dict(model.named_modules())
    layers = [(name, cls) for name in LAYERS[: 1 if cls is FullModule else 3]]
    if cls is FullModule:
        layers += [(name, NormModule) for name in NORMS]
    modules = {name: c(name.replace(".", "_"), named[name], 1.0, **arguments) for name, c in layers}
    for i, module in enumerate(modules.values()):
        randomise([(k, p) for k, p in module.named_parameters()], 100 * seed + i)
    tensors = {}
    for name, module in modules.items():
        state = module.custom_state_dict() if hasattr(module, "custom_state_dict") else None
        if state is None or cls is IA3Module:
            state = module.state_dict()
        if isinstance(module, FullModule):
            state = {"diff": module.weight.data, "diff_b": module.bias.data}
        for key, value in state.items():
            value = value.half() if value.is_floating_point() else value
            tensors[f"{prefix}{name.replace('.', '_')}.{key}"] = value.clone().contiguous()
    save_file(tensors, os.path.join(OUT, f"{kind}.safetensors"), {"format": "pt"})
    for name, module in modules.items():
        for which, multiplier in [("merged", 1), ("part", PART)]:
            for end, value in zip(["weight", "bias"], lycoris_weights(module, multiplier)):
                keep(kind, which, f"{name}.{end}", value)
    for module in modules.values():
        module.apply_to()
    golden[f"{kind}.conv_out"] = run(model)


def peft_kind(kind, config, seed):
    model = get_peft_model(unet(), config)
    randomise([(k, p) for k, p in model.named_parameters() if p.requires_grad], 100 * seed)
    folder = os.path.join(OUT, kind)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    saved = json.load(open(path))
    saved["base_model_name_or_path"] = None  # a path of this machine
    json.dump(saved, open(path, "w"), indent=1, sort_keys=True)
    golden[f"{kind}.conv_out"] = run(model)
    for which, multiplier in [("merged", 1), ("part", PART)]:
        for name in LAYERS:
            layer = dict(model.base_model.model.named_modules())[name]
            assert isinstance(layer, BaseTunerLayer)
            layer.set_scale("default", multiplier)
            layer.merge()
            keep(kind, which, f"{name}.weight", layer.get_base_layer().weight)
            layer.unmerge()
            layer.set_scale("default", 1)


def keep(kind, which, name, value):
    small = which == "merged" or name != LINEAR + ".weight"
    if name in KEPT and value is not None and small:
        value = value[:8] if which == "part" else value  # that many outputs are enough
        golden[f"{kind}.{which}.{name}"] = value.detach().float().clone().contiguous()


shutil.rmtree(OUT, ignore_errors=True)
os.makedirs(OUT)
golden = {}
for seed, (kind, (cls, arguments, prefix)) in enumerate(LYCORIS.items()):
    lycoris_kind(kind, cls, arguments, prefix, seed)
for seed, (kind, config) in enumerate(PEFT.items(), len(LYCORIS)):
    peft_kind(kind, config, seed)
for key, value in golden.items():
    if key.endswith("conv_out"):
        assert value.isfinite().all() and (value - PLAIN).norm() > 0.05 * PLAIN.norm(), key
save_file(golden, os.path.join(OUT, "golden.safetensors"), {p: version(p) for p in ["lycoris-lora", "peft"]})
