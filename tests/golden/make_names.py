"""Writes names/: names and shapes of every tensor of published models, without the weights.

    python tests/golden/make_names.py

`names/diffusers-*.txt.gz` are the state dictionaries of the models that diffusers and transformers
make from the published configurations, on torch's meta device. `names/ldm-*.txt.gz` are the same
models in one file of the original layout, written here after the published structure of CompVis'
`openaimodel.py` and `model.py` and of OpenCLIP, by widths and depths. diffusers' own converter has
to turn the second into exactly the first.

A line is a name and a shape: `unet/conv_in.weight 320,4,3,3`.
"""

import gzip
import os

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from diffusers.loaders import single_file_utils as converter
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

torch.set_num_threads(1)
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "names")

CROSS = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
PLAIN = "DownBlock2D", "UpBlock2D"


def unet(widths, attends, context, heads, **more):
    down = tuple(CROSS[0] if attend else PLAIN[0] for attend in attends)
    up = tuple(CROSS[1] if attend else PLAIN[1] for attend in reversed(attends))
    return dict(block_out_channels=widths, down_block_types=down, up_block_types=up,
                cross_attention_dim=context, attention_head_dim=heads, **more)


FOUR, THREE = (320, 640, 1280, 1280), (320, 640, 1280)
SD1 = unet(FOUR, (1, 1, 1, 0), 768, 8)
SD2 = unet(FOUR, (1, 1, 1, 0), 1024, (5, 10, 20, 20), use_linear_projection=True)
SDXL = unet(THREE, (0, 1, 1), 2048, (5, 10, 20), use_linear_projection=True,
            transformer_layers_per_block=(1, 2, 10), addition_embed_type="text_time",
            addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816)
SSD_1B = dict(SDXL, mid_block_type="UNetMidBlock2D",
              transformer_layers_per_block=(1, (2, 2), (4, 4)),
              reverse_transformer_layers_per_block=((4, 4, 10), (2, 1, 1), 1))
SMALL = dict(SD1, layers_per_block=1, mid_block_type=None)
TINY = dict(unet(THREE, (1, 1, 1), 768, 8), layers_per_block=1, mid_block_type=None)

VAE = dict(block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
           down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)


def clip(width, layers, projection, act):
    return dict(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
                num_attention_heads=width // 64, projection_dim=projection, hidden_act=act,
                vocab_size=49408, max_position_embeddings=77)


CLIP_L = clip(768, 12, 768, "quick_gelu")
CLIP_H = clip(1024, 23, 1024, "gelu")
CLIP_G = clip(1280, 32, 1280, "gelu")

# The name, its parts, and the UNet's number of parameters in millions where it is published.
MODELS = {
    "sd15": (SD1, CLIP_L, None, 860),
    "sd15-inpainting": (dict(SD1, in_channels=9), CLIP_L, None, None),
    "sd21": (SD2, CLIP_H, None, 866),
    "sdxl": (SDXL, CLIP_L, CLIP_G, 2567),
    "sd-turbo": (SD2, CLIP_H, None, None),
    "bk-sdm-small": (SMALL, CLIP_L, None, 482),
    "tiny-sd": (TINY, CLIP_L, None, 323),
    "ssd-1b": (SSD_1B, CLIP_L, CLIP_G, 1331),
    "lcm-dreamshaper": (dict(SD1, time_cond_proj_dim=256), CLIP_L, None, None),
}


def state(model):
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def diffusers_model(unet_config, text, text_2, millions):
    with torch.device("meta"):
        parts = {"unet": UNet2DConditionModel(**unet_config), "vae": AutoencoderKL(**VAE),
                 "text_encoder": CLIPTextModel(CLIPTextConfig(**text))}
        if text_2:
            parts["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**text_2))
    count = sum(p.numel() for p in parts["unet"].parameters()) / 1e6
    assert millions is None or abs(count - millions) < 1, (count, millions)
    return parts


# The original layout. `t` collects names and shapes.

def both(t, name, *shape):
    t[name + ".weight"], t[name + ".bias"] = shape, shape[:1]


def res_block(t, name, inputs, outputs, time):
    both(t, name + ".in_layers.0", inputs)
    both(t, name + ".in_layers.2", outputs, inputs, 3, 3)
    both(t, name + ".emb_layers.1", outputs, time)
    both(t, name + ".out_layers.0", outputs)
    both(t, name + ".out_layers.3", outputs, outputs, 3, 3)
    if inputs != outputs:
        both(t, name + ".skip_connection", outputs, inputs, 1, 1)


def transformer(t, name, width, depth, context, linear):
    both(t, name + ".norm", width)
    kernel = () if linear else (1, 1)
    both(t, name + ".proj_in", width, width, *kernel)
    both(t, name + ".proj_out", width, width, *kernel)
    for index in range(depth):
        block = f"{name}.transformer_blocks.{index}"
        for attention, keys in (".attn1", width), (".attn2", context):
            t[block + attention + ".to_q.weight"] = (width, width)
            t[block + attention + ".to_k.weight"] = (width, keys)
            t[block + attention + ".to_v.weight"] = (width, keys)
            both(t, block + attention + ".to_out.0", width, width)
        both(t, block + ".ff.net.0.proj", 8 * width, width)
        both(t, block + ".ff.net.2", width, 4 * width)
        for norm in ".norm1", ".norm2", ".norm3":
            both(t, block + norm, width)


def ldm_unet(inputs, mults, depths, context, linear, label=None, base=320, layers=2):
    t, time = {}, 4 * base
    both(t, "time_embed.0", time, base)
    both(t, "time_embed.2", time, time)
    if label:
        both(t, "label_emb.0.0", time, label)
        both(t, "label_emb.0.2", time, time)
    both(t, "input_blocks.0.0", base, inputs, 3, 3)
    width, skips, number = base, [base], 1
    for level, mult in enumerate(mults):
        for _ in range(layers):
            res_block(t, f"input_blocks.{number}.0", width, base * mult, time)
            width = base * mult
            if depths[level]:
                transformer(t, f"input_blocks.{number}.1", width, depths[level], context, linear)
            skips.append(width)
            number += 1
        if level + 1 < len(mults):
            both(t, f"input_blocks.{number}.0.op", width, width, 3, 3)
            skips.append(width)
            number += 1
    res_block(t, "middle_block.0", width, width, time)
    transformer(t, "middle_block.1", width, max(depths[-1], 1), context, linear)
    res_block(t, "middle_block.2", width, width, time)
    number = 0
    for level in reversed(range(len(mults))):
        for layer in range(layers + 1):
            res_block(t, f"output_blocks.{number}.0", width + skips.pop(), base * mults[level], time)
            width, part = base * mults[level], 1
            if depths[level]:
                transformer(t, f"output_blocks.{number}.1", width, depths[level], context, linear)
                part = 2
            if level and layer == layers:
                both(t, f"output_blocks.{number}.{part}.conv", width, width, 3, 3)
            number += 1
    both(t, "out.0", base)
    both(t, "out.2", 4, base, 3, 3)
    return t


def ldm_controlnet(mults, depths, context, linear, base=320, layers=2):
    """ControlNet in the layout of its `cldm.py`: a copy of the UNet's down blocks, the conditioning embedding, and the zero convolutions."""
    whole = ldm_unet(4, mults, depths, context, linear, base=base, layers=layers)
    t = {name: shape for name, shape in whole.items() if name.startswith(("time_embed.", "input_blocks.", "middle_block."))}
    hint = 3, 16, 16, 32, 32, 96, 96, 256, base
    for index, (inputs, outputs) in enumerate(zip(hint, hint[1:])):
        both(t, f"input_hint_block.{2 * index}", outputs, inputs, 3, 3)
    widths = [base]
    for level, mult in enumerate(mults):
        widths += [base * mult] * (layers + (level + 1 < len(mults)))
    for index, width in enumerate(widths):
        both(t, f"zero_convs.{index}.0", width, width, 1, 1)
    both(t, "middle_block_out.0", widths[-1], widths[-1], 1, 1)
    return {"control_model." + name: shape for name, shape in t.items()}


def ldm_vae(base=128, mults=(1, 2, 4, 4), layers=2, latents=4):
    t = {}

    def block(name, inputs, outputs):
        both(t, name + ".norm1", inputs)
        both(t, name + ".conv1", outputs, inputs, 3, 3)
        both(t, name + ".norm2", outputs)
        both(t, name + ".conv2", outputs, outputs, 3, 3)
        if inputs != outputs:
            both(t, name + ".nin_shortcut", outputs, inputs, 1, 1)

    def middle(side, width):
        block(side + ".mid.block_1", width, width)
        both(t, side + ".mid.attn_1.norm", width)
        for name in "q", "k", "v", "proj_out":
            both(t, f"{side}.mid.attn_1.{name}", width, width, 1, 1)
        block(side + ".mid.block_2", width, width)

    both(t, "encoder.conv_in", base, 3, 3, 3)
    width = base
    for level, mult in enumerate(mults):
        for index in range(layers):
            block(f"encoder.down.{level}.block.{index}", width, base * mult)
            width = base * mult
        if level + 1 < len(mults):
            both(t, f"encoder.down.{level}.downsample.conv", width, width, 3, 3)
    middle("encoder", width)
    both(t, "encoder.norm_out", width)
    both(t, "encoder.conv_out", 2 * latents, width, 3, 3)
    both(t, "decoder.conv_in", width, latents, 3, 3)
    middle("decoder", width)
    for level in reversed(range(len(mults))):
        for index in range(layers + 1):
            block(f"decoder.up.{level}.block.{index}", width, base * mults[level])
            width = base * mults[level]
        if level:
            both(t, f"decoder.up.{level}.upsample.conv", width, width, 3, 3)
    both(t, "decoder.norm_out", width)
    both(t, "decoder.conv_out", 3, width, 3, 3)
    both(t, "quant_conv", 2 * latents, 2 * latents, 1, 1)
    both(t, "post_quant_conv", latents, latents, 1, 1)
    return t


def clip_l(width=768, layers=12):
    t = {"embeddings.position_ids": (1, 77), "embeddings.token_embedding.weight": (49408, width),
         "embeddings.position_embedding.weight": (77, width)}
    for index in range(layers):
        layer = f"encoder.layers.{index}"
        for name in "q_proj", "k_proj", "v_proj", "out_proj":
            both(t, f"{layer}.self_attn.{name}", width, width)
        both(t, layer + ".mlp.fc1", 4 * width, width)
        both(t, layer + ".mlp.fc2", width, 4 * width)
        both(t, layer + ".layer_norm1", width)
        both(t, layer + ".layer_norm2", width)
    both(t, "final_layer_norm", width)
    return {"text_model." + name: shape for name, shape in t.items()}


def open_clip(width, layers):
    t = {"positional_embedding": (77, width), "text_projection": (width, width), "logit_scale": (),
         "token_embedding.weight": (49408, width)}
    for index in range(layers):
        layer = f"transformer.resblocks.{index}"
        both(t, layer + ".ln_1", width)
        both(t, layer + ".ln_2", width)
        t[layer + ".attn.in_proj_weight"], t[layer + ".attn.in_proj_bias"] = (3 * width, width), (3 * width,)
        both(t, layer + ".attn.out_proj", width, width)
        both(t, layer + ".mlp.c_fc", 4 * width, width)
        both(t, layer + ".mlp.c_proj", width, 4 * width)
    both(t, "ln_final", width)
    return t


# Buffers that the training code registers beside the parameters.
TABLES = [
    "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod", "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod", "posterior_variance", "posterior_log_variance_clipped",
    "posterior_mean_coef1", "posterior_mean_coef2",
]


def one_file(unet_names, *others, tables=True):
    t = {name: (1000,) for name in TABLES} if tables else {"denoiser.sigmas": (1000,)}
    if tables:
        t.update({"model_ema.decay": (), "model_ema.num_updates": ()})
    parts = [("model.diffusion_model.", unet_names), ("first_stage_model.", ldm_vae()), *others]
    for prefix, names in parts:
        t.update({prefix + name: shape for name, shape in names.items()})
    return t


CLIP_L_SD1 = "cond_stage_model.transformer.", clip_l()
CHECKPOINTS = {
    "sd15": one_file(ldm_unet(4, (1, 2, 4, 4), (1, 1, 1, 0), 768, False), CLIP_L_SD1),
    "sd15-inpainting": one_file(ldm_unet(9, (1, 2, 4, 4), (1, 1, 1, 0), 768, False), CLIP_L_SD1),
    "sd21": one_file(ldm_unet(4, (1, 2, 4, 4), (1, 1, 1, 0), 1024, True),
                     ("cond_stage_model.model.", open_clip(1024, 24))),
    "sdxl": one_file(ldm_unet(4, (1, 2, 4), (0, 2, 10), 2048, True, label=2816),
                     ("conditioner.embedders.0.transformer.", clip_l()),
                     ("conditioner.embedders.1.model.", open_clip(1280, 32)), tables=False),
}


def check(checkpoint, parts):
    """Checks that diffusers' converter turns the checkpoint into exactly the diffusers model."""
    def tensors():
        return {name: torch.empty(shape, device="meta") for name, shape in checkpoint.items()}

    converted = {
        "unet": converter.convert_ldm_unet_checkpoint(tensors(), dict(parts["unet"].config)),
        "vae": converter.convert_ldm_vae_checkpoint(tensors(), dict(parts["vae"].config)),
    }
    for component, prefix in ("text_encoder", "cond_stage_model.model."), \
                             ("text_encoder_2", "conditioner.embedders.1.model."):
        if any(name.startswith(prefix) for name in checkpoint):
            model = parts[component]
            converted[component] = converter.convert_open_clip_checkpoint(model, tensors(), prefix)
    if "text_encoder" not in converted:
        converted["text_encoder"] = converter.convert_ldm_clip_checkpoint(tensors())
    for component, got in converted.items():
        plain = {name.removeprefix("text_model."): tuple(value.shape) for name, value in got.items()
                 if not name.endswith("position_ids")}
        want = {name.removeprefix("text_model."): shape for name, shape in state(parts[component]).items()}
        if component == "text_encoder":
            plain.pop("text_projection.weight", None)
        assert plain == want, (component, set(plain.items()) ^ set(want.items()))


# The name, the UNet that it steers, and the original structure.
CONTROLNETS = {
    "controlnet-sd15": (SD1, ldm_controlnet((1, 2, 4, 4), (1, 1, 1, 0), 768, False)),
    "controlnet-sd21": (SD2, ldm_controlnet((1, 2, 4, 4), (1, 1, 1, 0), 1024, True)),
}


def controlnet(config, checkpoint):
    """The names of diffusers' ControlNet, after checking that diffusers' converter produces them from the checkpoint."""
    down = {key: value for key, value in config.items() if key != "up_block_types"}
    with torch.device("meta"):
        model = ControlNetModel(**down)
        tensors = {name: torch.empty(shape) for name, shape in checkpoint.items()}
    got = converter.convert_controlnet_checkpoint(tensors, dict(model.config))
    want = state(model)
    assert {name: tuple(value.shape) for name, value in got.items()} == want, set(got) ^ set(want)
    return {"controlnet/" + name: shape for name, shape in want.items()}


def write(name, tensors):
    lines = [f"{tensor} {','.join(map(str, shape))}".rstrip() for tensor, shape in sorted(tensors.items())]
    with open(os.path.join(HERE, name + ".txt.gz"), "wb") as file:
        file.write(gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0))
    print(f"{name}: {len(lines)} tensors")


for name, model in MODELS.items():
    parts = diffusers_model(*model)
    if name in CHECKPOINTS:
        check(CHECKPOINTS[name], parts)
        write("ldm-" + name, CHECKPOINTS[name])
    write("diffusers-" + name, {f"{component}/{tensor}": shape for component, part in parts.items()
                                for tensor, shape in state(part).items()})
for name, (config, checkpoint) in CONTROLNETS.items():
    write("diffusers-" + name, controlnet(config, checkpoint))
    write("ldm-" + name, checkpoint)
