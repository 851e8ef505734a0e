#!/usr/bin/env python3
"""Makes the published architectures at full size with seeded random weights, and reference outputs of diffusers for them.

    python tests/golden/full_size.py FAMILY OUT [--large] [--merges FILE]      # FAMILY: sd15, sd21, sdxl

writes OUT/model, a folder in the diffusers layout (f16; 2 GB, 2.6 GB, 7 GB), OUT/golden.safetensors and OUT/golden.json with the keys of
make.py: the text encoders, one UNet evaluation of a batch of two at 16x16, the autoencoder's encoder and decoder, a run of four steps.
`--large` adds one evaluation at 64x64 (`large.sample`, `large.conv_out`). The arithmetic is f32 on the stored weights. `./x parity` compares.

No real weights are needed: shapes, depths and configurations are those of the published models, so sums have the same length.
Components are in memory one at a time, at most 11 GB (the UNet of SDXL in f32); minutes on one core.
"""
import argparse, json, os, re, shutil, sys, time

sys.dont_write_bytecode = True
from fixtures import HERE
import diffusers, torch, transformers
from fixtures.families import FAMILIES
from fixtures.files import dump, dump_golden
from fixtures.record import Recorder
from fixtures.runs import NEGATIVE, PROMPT, run
from fixtures.weights import randn, values
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

MERGES = os.path.join(HERE, "..", "..", "src", "tokenizer", "clip", "merges.txt")


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


# ---- the model ---------------------------------------------------------------------------------------------------------

def tokenizer(folder, merges, pad):
    """Writes CLIP's tokenizer files. The vocabulary is the 256 bytes, the same at the end of a word, a token per merge, two special ones."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    letters = [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]
    lines = open(merges, encoding="utf-8").read().splitlines()
    pairs = [line for line in lines if line and not line.startswith("#version")][:48894]
    tokens = letters + [c + "</w>" for c in letters] + ["".join(p.split()) for p in pairs] + ["<|startoftext|>", "<|endoftext|>"]
    assert len(tokens) == len(set(tokens)) == 49408, len(set(tokens))
    os.makedirs(folder)
    dump(os.path.join(folder, "vocab.json"), {t: i for i, t in enumerate(tokens)}, indent=None)
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(["#version: 0.2", *pairs, ""]))
    special = dict(bos_token="<|startoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>", pad_token=pad)
    dump(os.path.join(folder, "special_tokens_map.json"), special)
    dump(os.path.join(folder, "tokenizer_config.json"), {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True,
                                                         "add_prefix_space": False, "errors": "replace", **special})
    return CLIPTokenizer.from_pretrained(folder)


def component(folder, cls, config, salt, **gains):
    """Fills a component's tensors with random f16 values, stores them, and returns the model with the stored values in f32."""
    is_clip = cls.__module__.startswith("transformers")
    with torch.device("meta"):
        model = cls(config) if is_clip else cls(**config)
    state = {f"{path}.{name}": v.half() for path, module in model.named_modules() for name, v in values(salt, path, module, gains)}
    if "quant_conv.weight" in state:  # latents of the size that the scaling factor expects, and visible noise
        state["quant_conv.weight"][:4] *= 4
        state["quant_conv.bias"][4:] -= 1
    os.makedirs(folder)
    if is_clip:  # as transformers before version 5 named them, so as the published files do
        model.config.architectures = [cls.__name__]
        model.config.save_pretrained(folder)
        prefixed = lambda n: n if n.startswith(("text_model.", "text_projection.")) else f"text_model.{n}"
        save_file({prefixed(n): v for n, v in state.items()}, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    else:
        model.save_config(folder)
        save_file(state, os.path.join(folder, "diffusion_pytorch_model.safetensors"), metadata={"format": "pt"})
    model.load_state_dict({name: state.pop(name).float() for name in list(state)}, assign=True)
    for path, module in model.named_modules():
        for name, b in list(module.named_buffers(recurse=False)):
            assert name == "position_ids" and b.is_meta, (path, name)
            module.register_buffer(name, torch.arange(b.shape[-1])[None], persistent=False)
    say(f"{os.path.basename(folder)}: {sum(p.numel() for p in model.parameters()) / 1e6:.0f} million parameters")
    return model.eval()


# ---- the values --------------------------------------------------------------------------------------------------------

def text(T, J, family, tokens, encoders):
    """The text embeddings of the empty text and of the prompt, `[2, 77, D]`; for SDXL also the pooled embeddings."""
    hidden, pooled = [], None
    for tok, (name, encoder) in zip(tokens, encoders):
        ids = tok([NEGATIVE, PROMPT], padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        J[name] = dict(prompts=[NEGATIVE, PROMPT], input_ids=ids.tolist())
        y = encoder(ids, output_hidden_states=True)
        key, value = ("hidden_states.-2", y.hidden_states[-2]) if family == "sdxl" else ("final_layer_norm", y.last_hidden_state)
        T[f"{name}.{key}"] = value
        hidden.append(value)
        if getattr(y, "text_embeds", None) is not None:
            T[f"{name}.text_embeds"] = pooled = y.text_embeds
    return torch.cat(hidden, -1), pooled


def autoencoder(T, vae):
    T["vae.decoder.latents"], T["vae.encoder.image"] = randn(102, 1, 4, 16, 16) * 5, randn(103, 1, 3, 128, 128).clamp(-1, 1)
    T["vae.decoder.conv_out"] = vae.decode(T["vae.decoder.latents"]).sample
    T["vae.quant_conv"] = vae.encode(T["vae.encoder.image"]).latent_dist.parameters


def evaluation(T, J, unet, context, pooled, size, batch, prefix):
    T[f"{prefix}.sample"] = x = randn(101, batch, 4, size, size)
    extra = {}
    if pooled is not None:
        ids = torch.tensor([[1024, 1024, 0, 0, 1024, 1024], [768, 512, 16, 40, 1024, 960]])[:batch].float()
        extra["added_cond_kwargs"] = added = dict(text_embeds=pooled[:batch], time_ids=ids)
        T.update({f"{prefix}.added.{k}": v for k, v in added.items()})
    T[f"{prefix}.encoder_hidden_states"] = context[:batch]
    wanted = re.compile(r"conv_out|mid_block\.resnets\.1")
    with Recorder(T).watch(unet, prefix, wanted.fullmatch):
        unet(x, torch.tensor([501]), context[:batch], **extra)
    J[prefix] = dict(timestep=501)


def make(family, out, merges, large):
    parts, model = FAMILIES[family], os.path.join(out, "model")
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(model)
    T, J = {}, {"runs": {}, "family": family}
    tokens = [tokenizer(os.path.join(model, f"tokenizer{end}"), merges, pad) for pad, end in zip(parts["pads"], ("", "_2"))]
    names = [n for n in ("text_encoder", "text_encoder_2") if n in parts]
    encoders = ((n, component(os.path.join(model, n), *parts[n], f"{family}/{n}")) for n in names)
    context, pooled = text(T, J, family, tokens, encoders)
    vae = component(os.path.join(model, "vae"), *parts["vae"], f"{family}/vae", decoder__conv_out=0.4)
    autoencoder(T, vae)
    parts["scheduler"].save_pretrained(os.path.join(model, "scheduler"))
    index = {n: ["transformers" if n.startswith("text") else "diffusers", parts[n][0].__name__] for n in names + ["vae", "unet"]}
    index |= {t: ["transformers", "CLIPTokenizer"] for t in ("tokenizer", "tokenizer_2")[:len(tokens)]}
    index |= {"scheduler": ["diffusers", type(parts["scheduler"]).__name__]}
    index |= {"force_zeros_for_empty_prompt": True} if family == "sdxl" else {"safety_checker": [None, None], "feature_extractor": [None, None]}
    dump(os.path.join(model, "model_index.json"), {"_class_name": parts["pipeline"], "_diffusers_version": diffusers.__version__, **index})

    unet = component(os.path.join(model, "unet"), *parts["unet"], f"{family}/unet")
    evaluation(T, J, unet, context, pooled, 16, 2, "unet")
    say(f"unet: values up to {float(T['unet.conv_out'].abs().max()):.1f}, in the middle {float(T['unet.mid_block.resnets.1'].abs().max()):.1f}")
    if large:
        evaluation(T, J, unet, context, pooled, 64, 1, "large")
        say("unet at 64x64")
    whole = dict(unet=unet, vae=vae, scheduler=parts["scheduler"], text_encoder=None, tokenizer=None)
    if family == "sdxl":
        pipe = diffusers.StableDiffusionXLPipeline(**whole, text_encoder_2=None, tokenizer_2=None, add_watermarker=False)
        texts = dict(prompt_embeds=context[1:], pooled_prompt_embeds=pooled[1:], negative_prompt_embeds=torch.zeros_like(context[1:]),
                     negative_pooled_prompt_embeds=torch.zeros_like(pooled[1:]))  # as for a negative prompt that was not given
    else:
        pipe = diffusers.StableDiffusionPipeline(**whole, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
        texts = dict(prompt_embeds=context[1:], negative_prompt_embeds=context[:1])
    pipe.set_progress_bar_config(disable=True)
    run(T, J, "txt2img", pipe, parts["scheduler"], prompt=None, negative=None, num_inference_steps=4, height=128, width=128, **texts)
    J["runs"]["txt2img"] |= dict(prompt=PROMPT, negative_prompt=None if family == "sdxl" else NEGATIVE)
    dump_golden(out, T, J, made_by="full_size.py")
    say(f"picture from {float(T['txt2img.image'].min()):.2f} to {float(T['txt2img.image'].max()):.2f}; done: {out}")


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("family", choices=FAMILIES)
    ap.add_argument("out", help="a scratch folder; it is emptied first")
    ap.add_argument("--large", action="store_true", help="also one evaluation of the UNet at 64x64")
    ap.add_argument("--merges", default=MERGES, help="merges.txt of CLIP's tokenizer (default: the library's own)")
    args = ap.parse_args()
    make(args.family, args.out, args.merges, args.large)
