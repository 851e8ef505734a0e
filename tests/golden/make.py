#!/usr/bin/env python3
"""Makes the golden fixtures of this folder: tiny, seeded-random models and what PyTorch and diffusers compute with them.

Run (any machine; some seconds on one core; needs the packages of models/train/requirements.txt):

    python tests/golden/make.py            # rewrites the three folders below
    python tests/golden/make.py --check    # makes them elsewhere and compares with the committed ones

The committed files came from the versions named in each golden.json. With the same versions the tensors are identical on every
run; with others they agree to about 1e-6, which is what --check allows.

What it makes, each a folder in the diffusers layout with f16 safetensors and no real knowledge in it:

    sd1-tiny      StableDiffusionPipeline as SD 1.x: 4 levels, 8 heads at every level (`attention_head_dim: 8`), 1x1-convolution
                  projections, quick_gelu CLIP, f8 AutoencoderKL, PNDM. Stored as the public SD 1.x checkpoints are: CLIP names with the
                  `text_model.` prefix and the integer `position_ids` buffer.
    sd2-tiny      as SD 2.x: heads as a list, linear projections, 2 resnets a level, odd channel counts per group, gelu CLIP, pad
                  token "!", v-prediction DDIM. No `vae/` (its pipeline run borrows the one of sd1-tiny) and no `tokenizer.json`
                  (only `vocab.json` and `merges.txt`).
    mobile-tiny   MobileDiffusionUNet (models/train/model.py), only `unet/`: ReLU attention, self-attention without
                  cross-attention in the middle level, separable convolutions in some levels.

Beside each: golden.safetensors (all f32, PyTorch's layouts: NCHW, [B, T, C]) and golden.json (inputs, seeds, settings). The
reference is f32 arithmetic on the f16-rounded weights. Keys:

    <module path>                 output of that module, named as in diffusers, under `unet.`, `text_encoder.`, `vae.`; the inputs of the
                                  run are `unet.sample`, `unet.encoder_hidden_states`, `vae.decoder.latents` (before post_quant_conv),
                                  `vae.encoder.image`; `vae.quant_conv` = the moments (mean, log-variance). Row 0 of the text encoder's
                                  batch is the empty negative prompt, row 1 the prompt, as in the runs below
    txt2img.<scheduler>.*         a whole pipeline run: `noise` (the draw), `step.<i>` (latents after scheduler step i), `latents`, `image`
    img2img.<scheduler>.*         the same; `posterior_noise` and `noise` are its two draws, in this order, `init_latents` the
                                  scaled sample of the posterior
    odd.sample, odd.conv_out      the UNet at a size that is not divisible by what it halves, with `unet.encoder_hidden_states`
    img2img.input                 its input picture, [1, 3, H, W] in [-1, 1]

Images are decoder outputs before any clamp, about [-1, 1].
"""
import argparse, hashlib, json, os, re, shutil, sys, tempfile, warnings

sys.dont_write_bytecode = True
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
warnings.filterwarnings("ignore")
import diffusers, torch, transformers
from diffusers import (AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, PNDMScheduler,
                       StableDiffusionImg2ImgPipeline, StableDiffusionPipeline, UNet2DConditionModel)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "..", "..", "models")
sys.path.insert(0, os.path.join(MODELS, "train"))
from model import MobileDiffusionUNet

diffusers.logging.set_verbosity_error()
diffusers.logging.disable_progress_bar()
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
torch.set_grad_enabled(False)

PROMPT, NEGATIVE, SEED, GUIDANCE = "a red apple", "", 7, 7.5
VERSIONS = {m.__name__: m.__version__.split("+")[0] for m in (torch, diffusers, transformers)}
BETAS = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
# scheduler_config.json of the public SD 1.5, to the letter: `clip_sample` is no key of PNDM, but DDIM made from this file reads it
SD15_SCHEDULER = {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
                  "beta_start": 0.00085, "num_train_timesteps": 1000, "set_alpha_to_one": False, "skip_prk_steps": True,
                  "steps_offset": 1, "trained_betas": None, "clip_sample": False}
SCHEDULERS = {"pndm": PNDMScheduler, "ddim": DDIMScheduler, "euler": EulerDiscreteScheduler, "dpmpp_2m": DPMSolverMultistepScheduler}


def randn(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# ---- models ------------------------------------------------------------------------------------------------------------

def randomise(model, salt, **gains):
    """Weights of variance 1/fan-in (times the gain of the longest module path that matches), norms away from 1 and 0, rounded to f16.
    Each tensor's seed is its name's, so adding a module changes no other tensor."""
    norms = (torch.nn.GroupNorm, torch.nn.LayerNorm)
    for path, module in model.named_modules():
        gain = next((g for k, g in gains.items() if path.endswith(k.replace("__", "."))), 1.0)
        for name, p in module.named_parameters(recurse=False):
            seed = int.from_bytes(hashlib.sha256(f"{salt}/{path}.{name}".encode()).digest()[:4], "big")
            r = randn(seed, *p.shape)
            if isinstance(module, norms):
                r = r * 0.2 + (1.0 if name == "weight" else 0.0)
            elif name == "bias":
                r = r * 0.1
            elif isinstance(module, torch.nn.Embedding):
                r = r * 0.7
            else:
                r = r * gain / p[0].numel() ** 0.5
            p.copy_(r.half().float())
    return model.eval()


def tokenizer_files(out, pad, with_json):
    """The tokenizer of emoji-64 at 77 tokens, without the padding and truncation that its `tokenizer.json` sets."""
    src = os.path.join(MODELS, "emoji-64", "tokenizer")
    os.makedirs(out)
    for f in ("vocab.json", "merges.txt"):
        shutil.copyfile(os.path.join(src, f), os.path.join(out, f))
    if with_json:
        t = json.load(open(os.path.join(src, "tokenizer.json")))
        dump(os.path.join(out, "tokenizer.json"), {**t, "padding": None, "truncation": None}, indent=None)
    special = dict(bos_token="<|startoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>", pad_token=pad)
    dump(os.path.join(out, "special_tokens_map.json"), special)
    dump(os.path.join(out, "tokenizer_config.json"), {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True,
                                                      "add_prefix_space": False, "errors": "replace", **special})
    return CLIPTokenizer.from_pretrained(out)


def clip(tok, salt, act, heads):
    c = CLIPTextConfig(vocab_size=len(tok), max_position_embeddings=77, hidden_size=32, intermediate_size=128, num_hidden_layers=2,
                       num_attention_heads=heads, hidden_act=act, projection_dim=32, bos_token_id=tok.bos_token_id,
                       eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id)
    return randomise(CLIPTextModel(c), salt)


def autoencoder(salt):
    v = AutoencoderKL(in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(8, 16, 16, 16), layers_per_block=1,
                      down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, norm_num_groups=4,
                      sample_size=64, scaling_factor=0.18215)
    # the picture in about [-1, 1]; a mean of the size that the scaling factor expects and a log-variance that gives visible noise
    randomise(v, salt, decoder__conv_out=0.4)
    v.quant_conv.weight[:4] *= 4
    v.quant_conv.bias[4:] -= 1
    v.quant_conv.weight.copy_(v.quant_conv.weight.half())
    v.quant_conv.bias.copy_(v.quant_conv.bias.half())
    return v


def sd1(out):
    tok = tokenizer_files(os.path.join(out, "tokenizer"), "<|endoftext|>", with_json=True)
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(32, 32, 32, 64), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",), up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        attention_head_dim=8, cross_attention_dim=32, norm_num_groups=16, act_fn="silu", flip_sin_to_cos=True, freq_shift=0)
    pipe = StableDiffusionPipeline(
        vae=autoencoder("sd1/vae"), text_encoder=clip(tok, "sd1/text", "quick_gelu", 2), tokenizer=tok, unet=randomise(unet, "sd1/unet"),
        scheduler=PNDMScheduler.from_config(SD15_SCHEDULER),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    return save(pipe, out)


def sd2(out):
    tok = tokenizer_files(os.path.join(out, "tokenizer"), "!", with_json=False)
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(24, 40), layers_per_block=2,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=[3, 2], cross_attention_dim=32, norm_num_groups=8, use_linear_projection=True, act_fn="silu")
    pipe = StableDiffusionPipeline(
        vae=autoencoder("sd1/vae"), text_encoder=clip(tok, "sd2/text", "gelu", 4), tokenizer=tok, unet=randomise(unet, "sd2/unet"),
        scheduler=DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="v_prediction"),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    return save(pipe, out)


def save(pipe, out):
    """Stores the f16 folder and reads it back in f32: the goldens come from what a user would load."""
    first = out.endswith("sd1-tiny")
    tok = os.path.join(out, "tokenizer")
    for name in ["unet", "text_encoder", "scheduler"] + ["vae"] * first:
        part = getattr(pipe, name)
        part = part.half() if isinstance(part, torch.nn.Module) else part
        part.save_pretrained(os.path.join(out, name))
    f = os.path.join(out, "text_encoder", "model.safetensors")
    w = {k.removeprefix("text_model."): v for k, v in load_file(f).items()}
    if first:
        w = {f"text_model.{k}": v for k, v in w.items()} | {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    save_file(w, f, metadata={"format": "pt"})
    if first:
        dump(os.path.join(out, "scheduler", "scheduler_config.json"), SD15_SCHEDULER)
    index = {k: v for k, v in pipe.config.items() if first or k != "vae"}
    dump(os.path.join(out, "model_index.json"),
         {"_class_name": "StableDiffusionPipeline", "_diffusers_version": diffusers.__version__, **index})
    part = lambda cls, name: cls.from_pretrained(os.path.join(out, name), torch_dtype=torch.float32)
    read = StableDiffusionPipeline(
        vae=part(AutoencoderKL, "vae") if first else pipe.vae.float(),
        text_encoder=part(CLIPTextModel, "text_encoder").eval(),
        tokenizer=CLIPTokenizer.from_pretrained(tok), unet=part(UNet2DConditionModel, "unet"),
        scheduler=type(pipe.scheduler).from_pretrained(os.path.join(out, "scheduler")),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    read.set_progress_bar_config(disable=True)
    for name in ("unet", "text_encoder", "vae"):  # nothing was lost or renamed on the way
        a, b = getattr(pipe, name).float().state_dict(), getattr(read, name).state_dict()
        assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a), name
    return read


# ---- goldens -----------------------------------------------------------------------------------------------------------

class Recorder:
    """Collects module outputs by path through forward hooks."""
    def __init__(self, tensors):
        self.tensors, self.hooks = tensors, []

    def watch(self, root, prefix, wanted):
        for path, m in root.named_modules():
            if wanted(path):
                self.hooks.append(m.register_forward_hook(lambda m, i, o, key=f"{prefix}.{path}": self.put(key, o)))
        return self

    def put(self, key, o):
        while not isinstance(o, torch.Tensor):  # a tuple, or an output class
            o = o[0]
        assert key not in self.tensors, key
        self.tensors[key] = o.detach().float().contiguous().clone()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        for h in self.hooks:
            h.remove()


LEAVES = ("conv_in", "time_embedding", "conv_norm_out", "conv_out", "quant_conv", "post_quant_conv")
CONTAINERS = ("resnets", "attentions", "downsamplers", "upsamplers")
DETAILED = ("down_blocks.1.attentions.0.", "mid_block.attentions.0.")  # to the layers inside


def is_block(path):
    p = path.split(".")
    if path in LEAVES or len(p) > 1 and p[-2] in CONTAINERS:
        return True
    inner = p[-1] in ("norm", "proj_in", "proj_out", "attn1", "attn2", "ff") or len(p) > 1 and p[-2] == "transformer_blocks"
    return inner and path.startswith(DETAILED)


def unet_golden(T, J, unet, context, shape, t):
    T["unet.sample"], T["unet.encoder_hidden_states"] = randn(101, *shape), context
    with Recorder(T).watch(unet, "unet", is_block):
        y = unet(T["unet.sample"], torch.tensor([t]), context)
    y = y if isinstance(y, torch.Tensor) else y.sample
    assert torch.equal(y, T["unet.conv_out"])
    J["unet"] = dict(timestep=t, sample=dict(shape=list(shape), seed=101))


def unet_odd_golden(T, J, unet, context, shape, t):
    """A size that is not divisible by what the UNet halves: the way up meets odd sizes."""
    T["odd.sample"] = randn(106, *shape)
    with torch.no_grad():
        T["odd.conv_out"] = unet(T["odd.sample"], torch.tensor([t]), context).sample
    J["odd"] = dict(timestep=t, sample=dict(shape=list(shape), seed=106))


def text_golden(T, J, pipe, prompts):
    ids = pipe.tokenizer(prompts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    layer = re.compile(r"encoder\.layers\.\d+(\.self_attn|\.mlp)?|embeddings|final_layer_norm")
    with Recorder(T).watch(pipe.text_encoder, "text_encoder", layer.fullmatch):
        y = pipe.text_encoder(ids).last_hidden_state
    assert torch.equal(y, T["text_encoder.final_layer_norm"])
    J["text_encoder"] = dict(prompts=prompts, input_ids=ids.tolist())
    return y


def vae_golden(T, J, vae):
    z, x = randn(102, 1, 4, 3, 5) * 5, randn(103, 1, 3, 24, 40).clamp(-1, 1)
    T["vae.decoder.latents"], T["vae.encoder.image"] = z, x
    with Recorder(T).watch(vae.decoder, "vae.decoder", is_block).watch(vae, "vae", lambda p: p == "post_quant_conv"):
        vae.decode(z)
    with Recorder(T).watch(vae.encoder, "vae.encoder", is_block).watch(vae, "vae", lambda p: p == "quant_conv"):
        vae.encode(x)
    J["vae"] = {"decoder.latents": "randn(seed 102) * 5, already divided by the scaling factor", "encoder.image": "randn(seed 103) clamped to [-1, 1]"}


def run(T, J, name, pipe, schedule, decode=True, **kw):
    """One pipeline run with a CPU generator; its draws, the latents after each step, the result."""
    pipe.scheduler = schedule
    g = torch.Generator().manual_seed(SEED)
    steps, draws = [], []
    source = sys.modules[type(pipe).__module__]
    dist = diffusers.models.autoencoders.vae
    real = source.randn_tensor
    spy = lambda *a, **k: draws.append(real(*a, **k)) or draws[-1]
    source.randn_tensor = dist.randn_tensor = spy
    try:
        out = pipe(PROMPT, negative_prompt=NEGATIVE, guidance_scale=GUIDANCE, generator=g, output_type="latent",
                   callback_on_step_end=lambda p, i, t, k: steps.append((int(t), k["latents"].clone())) or k, **kw).images
    finally:
        source.randn_tensor = dist.randn_tensor = real
    T[f"{name}.noise"] = draws[-1]
    if len(draws) == 2:
        T[f"{name}.posterior_noise"] = draws[0]
        p = pipe.vae.encode(T["img2img.input"]).latent_dist
        T[f"{name}.init_latents"] = (p.mean + p.std * draws[0]) * pipe.vae.config.scaling_factor
    for i, (_, x) in enumerate(steps):
        T[f"{name}.step.{i}"] = x
    T[f"{name}.latents"] = out
    if decode:
        T[f"{name}.image"] = pipe.vae.decode(out / pipe.vae.config.scaling_factor, return_dict=False)[0]
    assert len(draws) == 1 + ("strength" in kw)
    J["runs"][name] = dict(prompt=PROMPT, negative_prompt=NEGATIVE, guidance_scale=GUIDANCE, seed=SEED,
                           timesteps=[t for t, _ in steps], **{k: v for k, v in kw.items() if k != "image"},
                           scheduler={**{k: v for k, v in schedule.config.items() if not k.startswith("_") and v != -float("inf")},
                                      "_class_name": type(schedule).__name__})


def dump(path, obj, indent=2):
    with open(path, "w") as f:
        json.dump(obj, f, indent=indent, ensure_ascii=False)
        f.write("\n")


def dump_golden(out, T, J):
    T = {k: v.float().contiguous().clone() for k, v in sorted(T.items())}
    assert all(v.isfinite().all() for v in T.values())
    save_file(T, os.path.join(out, "golden.safetensors"))
    head = dict(made_by="tests/golden/make.py", versions=VERSIONS, arithmetic="f32 on the stored f16 weights", layout="PyTorch's: NCHW, [B, T, C]")
    text = json.dumps({**head, **J}, indent=1, allow_nan=False)
    with open(os.path.join(out, "golden.json"), "w") as f:
        f.write(text + "\n")


def make_sd1(out):
    T, J, pipe = {}, {"runs": {}}, sd1(out)
    context = text_golden(T, J, pipe, [NEGATIVE, PROMPT])
    unet_golden(T, J, pipe.unet, context, (2, 4, 8, 16), 501)
    unet_odd_golden(T, J, pipe.unet, context, (2, 4, 13, 10), 501)
    vae_golden(T, J, pipe.vae)
    base = pipe.scheduler.config
    for name, cls in SCHEDULERS.items():
        run(T, J, f"txt2img.{name}", pipe, cls.from_config(base), num_inference_steps=4, height=64, width=128 if name == "pndm" else 64)
    for name in ("euler", "dpmpp_2m"):  # from the stock file these two fall back to their own default, linspace
        run(T, J, f"txt2img.{name}_leading", pipe, SCHEDULERS[name].from_config(base, timestep_spacing="leading"), decode=False,
            num_inference_steps=4, height=64, width=64)
    i2i = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    i2i.set_progress_bar_config(disable=True)
    small = randn(104, 1, 3, 8, 8)
    T["img2img.input"] = torch.nn.functional.interpolate(small, scale_factor=8, mode="nearest").clamp(-1, 1)
    T["img2img.input"] = (T["img2img.input"] * 127.5 + 127.5).round() / 127.5 - 1  # pictures come in bytes
    J["img2img.input"] = "randn([1, 3, 8, 8], seed 104), nearest 8x, clamped to [-1, 1], rounded to bytes; the pipeline got x / 2 + 0.5 and maps it back"
    J["img2img.draws"] = "one generator: first the posterior sample (mean + std * randn(latents)), then the noise for scheduler.add_noise"
    for name, cls in SCHEDULERS.items():
        run(T, J, f"img2img.{name}", i2i, cls.from_config(base), num_inference_steps=5, strength=0.6, image=T["img2img.input"] / 2 + 0.5)
    dump_golden(out, T, J)


def make_sd2(out):
    T, J, pipe = {}, {"runs": {}}, sd2(out)
    context = text_golden(T, J, pipe, [NEGATIVE, PROMPT])
    unet_golden(T, J, pipe.unet, context, (2, 4, 6, 10), 321)
    run(T, J, "txt2img.ddim", pipe, pipe.scheduler, decode=False, num_inference_steps=4, height=64, width=128)
    dump_golden(out, T, J)


def make_mobile(out):
    unet = MobileDiffusionUNet(
        sample_size=8, in_channels=8, out_channels=8, block_out_channels=[16, 24, 40], transformer_layers=[0, 1, 2], mid_transformer_layers=1,
        self_attention=[False, True, True], cross_attention=[False, False, True], separable=[False, True, False],
        separable_resample=[True, False, False], attention_head_dim=8, cross_attention_dim=32, norm_num_groups=8, time_embed_dim=96,
        attention_activation="relu")
    randomise(unet, "mobile/unet").save_pretrained(os.path.join(out, "unet"))
    T, J = {}, {}
    context = randn(105, 2, 77, 32)
    unet_golden(T, J, MobileDiffusionUNet.from_pretrained(os.path.join(out, "unet")), context, (2, 8, 12, 8), 701)
    J["unet"]["encoder_hidden_states"] = dict(shape=[2, 77, 32], seed=105)
    dump_golden(out, T, J)


MAKERS = {"sd1-tiny": make_sd1, "sd2-tiny": make_sd2, "mobile-tiny": make_mobile}


def make_all(root):
    for name, make in MAKERS.items():
        out = os.path.join(root, name)
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        make(out)


def check():
    """Largest relative L2 difference of each folder's weights and goldens from the committed ones."""
    with tempfile.TemporaryDirectory() as tmp:
        make_all(tmp)
        bad = 0
        for d, _, files in os.walk(tmp):
            for f in (x for x in files if x.endswith(".safetensors")):
                rel = os.path.relpath(os.path.join(d, f), tmp)
                a, b = load_file(os.path.join(HERE, rel)), load_file(os.path.join(d, f))
                assert a.keys() == b.keys(), rel
                err = max(float((a[k].double() - b[k].double()).norm() / a[k].double().norm().clamp(min=1e-30)) for k in a)
                print(f"{rel}: {len(a)} tensors, largest difference {err:.1e}")
                bad += err > 1e-5
        sys.exit(bool(bad))


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--check", action="store_true", help="compare with the committed files, change nothing")
    if ap.parse_args().check:
        check()
    make_all(HERE)
    for name in MAKERS:
        size = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(os.path.join(HERE, name)) for f in fs)
        print(f"{name}: {size / 1e6:.2f} MB")
