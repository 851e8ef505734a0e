"""Writes text-tiny/: two small CLIP text encoders, textual inversions for them, and prompt embeddings of diffusers and stable-diffusion-webui.

    python tests/golden/make_text.py

The tokenizers are those of sd1-tiny and sd2-tiny. Short prompts without weights go through diffusers' `encode_prompt`; the
others through the equations below (webui's modules/sd_hijack_clip.py and sd_emphasis.py). `golden.json` lists the cases,
`golden.safetensors` has their embeddings `[texts, tokens, width]` and pooled embeddings, in f32 on the stored f16 weights.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

torch.set_num_threads(1)
torch.set_grad_enabled(False)
HERE = Path(__file__).resolve().parent
OUT = HERE / "text-tiny"
BREAK = "BREAK"
SHORT = "a red apple on a purple background!"
LONG = ", ".join(f"{adjective} {noun}" for adjective in "red green purple flat glossy big".split()
                 for noun in "apple ghost pizza hand cat house sun tree".split())


def randomise(model, salt):
    """Fills a model with values of variance 1/fan-in, norms away from 1 and 0, rounded to f16; the seed of a tensor is derived from its name."""
    for name, p in model.named_parameters():
        generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(f"{salt}/{name}".encode()).digest()[:4], "big"))
        r = torch.randn(p.shape, generator=generator)
        if "norm" in name:
            r = r * 0.2 + name.endswith("weight")
        elif name.endswith("bias"):
            r = r * 0.1
        else:
            r = r * (0.7 if "embedding" in name else p.shape[1] ** -0.5)
        p.copy_(r.half().float())
    return model.eval()


def encoder(cls, tok, folder, **sizes):
    config = CLIPTextConfig(vocab_size=len(tok), max_position_embeddings=77, bos_token_id=tok.bos_token_id,
                            eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id, **sizes)
    model = randomise(cls(config), folder)
    model.half().save_pretrained(OUT / folder)
    read = cls.from_pretrained(OUT / folder, torch_dtype=torch.float32).eval()
    assert all(torch.equal(a, b) for a, b in zip(model.float().state_dict().values(), read.state_dict().values()))
    return read


def sd(tok, first):
    return StableDiffusionPipeline(vae=None, text_encoder=first, tokenizer=tok, unet=None, scheduler=None, safety_checker=None,
                                   feature_extractor=None, requires_safety_checker=False)


def xl(toks, first, second, zeros=True):
    return StableDiffusionXLPipeline(vae=None, text_encoder=first, text_encoder_2=second, tokenizer=toks[0], tokenizer_2=toks[1],
                                     unet=None, scheduler=None, force_zeros_for_empty_prompt=zeros, add_watermarker=False)


def chunks(tok, fragments):
    """Ids and weights of one text: rows of 75 tokens, each fragment tokenised by itself."""
    rows = [[]]
    for text, weight in fragments:
        if text == BREAK:
            rows.append([])
            continue
        for token in tok(text, add_special_tokens=False).input_ids:
            if len(rows[-1]) == 75:
                rows.append([])
            rows[-1].append((token, weight))
    return rows


def padded(tok, row):
    ids = [tok.bos_token_id] + [token for token, _ in row] + [tok.eos_token_id]
    weights = [1.0] + [weight for _, weight in row]
    return ids + [tok.pad_token_id] * (77 - len(ids)), np.array(weights + [1.0] * (77 - len(weights)))


def emphasised(z, weights):
    """webui's EmphasisOriginal of one chunk of one text."""
    if (weights == 1).all():
        return z
    z = z.astype(np.float64)
    weighted = z * weights[:, None]
    return (weighted * (z.mean() / weighted.mean())).astype(np.float32)


def encode(towers, texts, skip=0):
    """Text embeddings and pooled embeddings; `towers` are (tokenizer, encoder): one, with the final norm applied, or two, without it."""
    values, pooled = [], None
    for tok, model in towers:
        rows = [chunks(tok, fragments) for fragments in texts]
        count = max(map(len, rows))
        per_text = []
        for text in rows:
            parts = []
            for row in text + [[]] * (count - len(text)):
                ids, weights = padded(tok, row)
                y = model(torch.tensor([ids]), output_hidden_states=True)
                z = y.hidden_states[-(skip + len(towers))]
                if len(towers) == 1:
                    z = model.final_layer_norm(z)
                parts.append((emphasised(z[0].numpy(), weights), y))
            per_text.append(np.concatenate([z for z, _ in parts]))
            if len(towers) == 2 and tok is towers[1][0]:
                pooled = [*(pooled or []), parts[0][1].text_embeds[0].numpy()]
        values.append(np.stack(per_text))
    return np.concatenate(values, -1), None if pooled is None else np.stack(pooled)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    toks = [CLIPTokenizer.from_pretrained(HERE / folder / "tokenizer") for folder in ("sd1-tiny", "sd2-tiny")]
    first = encoder(CLIPTextModel, toks[0], "text_encoder", hidden_size=24, intermediate_size=96, num_hidden_layers=4,
                    num_attention_heads=3, hidden_act="quick_gelu", projection_dim=24)
    object.__setattr__(first, "text_model", first)  # where transformers 4 had it, and diffusers' clip_skip looks for it
    second = encoder(CLIPTextModelWithProjection, toks[1], "text_encoder_2", hidden_size=40, intermediate_size=80,
                     num_hidden_layers=5, num_attention_heads=2, hidden_act="gelu", projection_dim=36)
    tensors, cases = {}, []

    def case(name, model, texts, values, pooled=None, **options):
        tensors[f"{name}.values"] = torch.as_tensor(values)
        if pooled is not None:
            tensors[f"{name}.pooled"] = torch.as_tensor(pooled)
        cases.append(dict(name=name, model=model, texts=texts, **options))

    # Stable Diffusion 1: layers left out, with and without a negative prompt (which keeps them).
    pipe = sd(toks[0], first)
    for skip in (0, 1, 2):
        got = pipe.encode_prompt([SHORT], "cpu", 1, False, clip_skip=skip or None)[0]
        case(f"sd.skip_{skip}", "sd", [SHORT], got, skip=skip)
    got = pipe.encode_prompt(["(flat) ghost [BREAK] \\(x\\)"], "cpu", 1, False)[0]
    case("sd.plain", "sd", ["(flat) ghost [BREAK] \\(x\\)"], got, plain=True)
    yes, no = pipe.encode_prompt([SHORT], "cpu", 1, True, negative_prompt=["pizza"], clip_skip=1)
    case("sd.negative", "sd", ["pizza", SHORT], torch.cat([no, yes]), skip=1, negative=True)
    yes, no = pipe.encode_prompt([SHORT], "cpu", 1, True)
    case("sd.empty_negative", "sd", ["", SHORT], torch.cat([no, yes]), negative=True)
    case("sd2", "sd2", [SHORT], sd(toks[1], first).encode_prompt([SHORT], "cpu", 1, False)[0])

    # Stable Diffusion XL: layers left out, empty negative prompts, the ends of texts.
    pipe = xl(toks, first, second)
    for skip in (0, 1, 2):
        got, _, pooled, _ = pipe.encode_prompt([SHORT], do_classifier_free_guidance=False, device="cpu", clip_skip=skip or None)
        case(f"xl.skip_{skip}", "xl", [SHORT], got, pooled, skip=skip)
    for name, zeros, negative in (("zeros", True, None), ("no_zeros", False, None), ("negative", True, ["pizza"])):
        yes, no, pooled, no_pooled = xl(toks, first, second, zeros).encode_prompt(
            [SHORT], do_classifier_free_guidance=True, negative_prompt=negative, device="cpu")
        case(f"xl.{name}", "xl", [negative[0] if negative else "", SHORT], torch.cat([no, yes]), torch.cat([no_pooled, pooled]),
             negative=True, zeros=zeros)
    for eos in (2, toks[1].convert_tokens_to_ids("red</w>")):
        second.text_model.eos_token_id = eos
        got, _, pooled, _ = pipe.encode_prompt([SHORT], do_classifier_free_guidance=False, device="cpu")
        case(f"xl.eos_{eos}", "xl", [SHORT], got, pooled, eos=eos)
    second.text_model.eos_token_id = toks[1].eos_token_id

    # Long prompts and weights.
    plain = lambda text: [(text, 1.0)]
    weighted = [("a ", 1.0), ("red", 1.1), (" ", 1.0), ("ghost", 1.5), (", ", 1.0), ("pizza", 1 / 1.1)]
    for model, towers in (("sd", [(toks[0], first)]), ("xl", [(toks[0], first), (toks[1], second)])):
        assert len(chunks(toks[0], plain(LONG))) == 3
        case(f"{model}.long", model, [SHORT, LONG], *encode(towers, [plain(SHORT), plain(LONG)]))
        case(f"{model}.weights", model, ["a (red) (ghost:1.5), [pizza]", SHORT], *encode(towers, [weighted, plain(SHORT)]))
        case(f"{model}.break", model, ["a red apple BREAK (pizza:0.5)"],
             *encode(towers, [[("a red apple", 1.0), (BREAK, -1), ("pizza", 0.5)]]))
        case(f"{model}.long_weights", model, [f"({LONG}:1.3) pizza"], *encode(towers, [[(LONG, 1.3), (" pizza", 1.0)]], 1), skip=1)

    # Textual inversion: the tables of token embeddings grow.
    generator = torch.Generator().manual_seed(1)
    vectors = lambda *shape: torch.randn(shape, generator=generator) * 0.7
    style, word, pair = vectors(3, 24), vectors(24), dict(clip_l=vectors(2, 24), clip_g=vectors(2, 40))
    save_file(dict(emb_params=style), OUT / "My-Style.safetensors")
    save_file({"<Cat-Toy>": word}, OUT / "word.safetensors")
    save_file(pair, OUT / "pair-xl.safetensors")
    text = "a <Cat-Toy>, red my-style and <Cat-Toy>"
    pipe = sd(toks[0], first)
    pipe.load_textual_inversion(style, token="my-style")
    pipe.load_textual_inversion({"<Cat-Toy>": word})
    case("sd.inversion", "sd", [text], pipe.encode_prompt([text], "cpu", 1, False)[0], words=["My-Style", "word"])
    pipe = xl(toks, first, second)
    pipe.load_textual_inversion(pair["clip_l"], token="pair-xl", text_encoder=pipe.text_encoder, tokenizer=pipe.tokenizer)
    pipe.load_textual_inversion(pair["clip_g"], token="pair-xl", text_encoder=pipe.text_encoder_2, tokenizer=pipe.tokenizer_2)
    text = "a red pair-xl on pizza"
    got, _, pooled, _ = pipe.encode_prompt([text], do_classifier_free_guidance=False, device="cpu")
    case("xl.inversion", "xl", [text], got, pooled, words=["pair-xl"])

    save_file({name: tensor.float().contiguous().clone() for name, tensor in tensors.items()}, OUT / "golden.safetensors")
    versions = dict(torch=torch.__version__, diffusers=diffusers.__version__, transformers=transformers.__version__)
    lines = ",\n  ".join(json.dumps(entry) for entry in cases)
    (OUT / "golden.json").write_text(f'{{\n "made_by": "tests/golden/make_text.py", "versions": {json.dumps(versions)},\n "cases": [\n  {lines}\n]}}\n')
    print(len(cases), "cases,", sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()), "bytes")


if __name__ == "__main__":
    main()
