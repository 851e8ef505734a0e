"""Writes prompts/: how AUTOMATIC1111's stable-diffusion-webui reads prompts (webui.json), and runs by diffusers with texts that change, that are
composed, or that differ between SDXL's text encoders (golden.safetensors, golden.json).

    python tests/golden/make_prompts.py WEBUI

WEBUI is a checkout, of which modules/prompt_parser.py and modules/sd_hijack_clip.py run (made with 1.7.0); they need torch and lark.
`schedules` are prompts with their text up to each step, `compositions` those split at AND, `chunks` the token ids of long prompts with
the tokenizer of sd1-tiny. The runs are of sd1-tiny and sdxl-tiny; texts change in diffusers' callback after a step, and composed ones are
guided by the webui's equation (combine_denoised in modules/sd_samplers_cfg_denoiser.py) around diffusers' UNet and scheduler.
"""

import importlib.util
import json
import pathlib
import random
import re
import sys
import types

import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file
from transformers import CLIPTokenizer

torch.set_num_threads(1)
torch.set_grad_enabled(False)
HERE = pathlib.Path(__file__).resolve().parent

SCHEDULES = r"""
test
a [b:3]
a [b: 3 ]
a [b:c:3]
a [b::3]
a [::3] b
[:3]
a [b : c : 1] d
a [b:c:0.5] d
a [b:.25] [c:0.75]
a [b:c:5.] d
a [b:c:1.0]
a [b:c:0]
a [b:c:0.0]
a [b:c:0.01]
a [b:c:-2]
a [b:c:+2]
a [b:c:99]
a [b:c:1e0]
a [b:c:2e-1]
a [b:c:1.5]
a [b:c:2] [d:e:2] [f:g:7]
a[b:[c:d:2]:1]e
a [[b:c:2]:d:5]
a [b:[c:[d:e:8]:5]:2]
a [b [c:d:2] e:f:6]
a [[[b]]:2]
[(a:2):3]
[(a:1.2) b:(c):0.5]
([a:b:0.5]:1.3)
(c [a:b:0.5]:1.3)
((a [b:c:2]))
[a|b]
[a|b|c]
[a|(b:1.1)]
[fe|]male
[fe|||]male
[|a] b
a [b|c] [d|e|f]
a [[b|c]|d]
a [[b|c]:d:5]
a [b:[c|d]:5]
[[a:b:3]|c]
[[a:b:3]|[c:d:6]]
a [b|c:0.5] d
a | b
a | b [c:d:5]
[a|b] | c
(a|b)
([a|b])
(a|b) [c:d:5]
a [unbalanced
a [unbalanced [b:c:3]
a unopened] [b:c:3]
((a][:b:c [d:3]
(a [b:c:3]
a) [b:c:3]
[a (b:c:3]
[a) b:c:3]
[a:b]
[a:b:c]
[a:b:c:3]
[a:b:c] [d:e:3]
[[a:b:c]:d:3]
[(a:b:1.2):c:0.5]
[a:(b:c):3]
[a:(b:c:1.1):3]
(a:[b:c:3])
(a:b) [c:d:3]
[(a]:b:3]
time: 10:30 [b:c:3]
a \[b:c:3\]
a [b\:d:c:3]
a [b\|d|c]
a [b\]:c:3]
\\[a:b:3]
[a:b:3] \
\
a [b:c:3] \\
a [b:3][c:6]d
a red [cat:dog:0.5], [small|large] (house:1.2) [in the rain:0.3] [in the sun::0.7]
[]
[:]
()
[|]
a[ b]
[a: 3 c]
[a:3
[a:b: c3]
[ : : 3 ]
a BREAK [b:c:3] BREAK d
""".strip("\n").split("\n") + ["", "a\n[b\n:c:3]\nd", "a \\\n[b:c:3]", "a [b:c:\n3\n]"]

COMPOSITIONS = [
    "a", "a AND b", "a :1.2 AND b", "a:0.5 AND b: .5 AND c :-1", "a AND b :2.", "a AND b:", "a AND b:1e3", "a AND time 10:30",
    "aANDb AND c", "_AND a", "AND", "a AND AND b", "a AND b AND", "(a AND b)", "[a AND b:0.5] c", "a  : 1.5  AND  b  ", "a\nAND\nb : 3\n",
    "a AND (b:1.2)", "a AND (b:1.2) :+0.3", "and And AND é AND é", "éAND a", "a AND b:..5", "a AND b:-", "a:1:2 AND b",
]

PIECES = ["a", "b", " c ", "d, e", "[", "]", "[", "]", "(", ")", ":", ":", "|", ":3]", ":0.5]", ":1.2)", "[x:y:2]", "[u|v]", "[w:4]", "\\[", "\\]", "1"]


def load(webui, name):
    """A module of the web UI, by itself."""
    spec = importlib.util.spec_from_file_location(f"modules.{name}", pathlib.Path(webui) / "modules" / f"{name}.py")
    module = sys.modules[f"modules.{name}"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def clear(parser, prompt):
    """Whether the parser reads all constructs, or none. The grammar is ambiguous: beside a bracket or colon that is text, some are text by chance."""
    try:
        parser.schedule_parser.parse(prompt)
    except parser.lark.exceptions.LarkError:
        return True
    texts = [text for _, text in parser.get_learned_conditioning_prompt_schedules([prompt], 10)[0]]
    return not any(re.search(r"\[[^][()|]*:\s*[0-9.]+\]|\[[^][():]*\|[^][():]*\]", re.sub(r"\\.", "", text)) for text in texts)


def main(webui):
    modules = sys.modules["modules"] = types.ModuleType("modules")
    options = types.SimpleNamespace(enable_emphasis=True, comma_padding_backtrack=20)
    for name, members in dict(devices={}, sd_hijack={}, shared=dict(opts=options)).items():
        module = sys.modules[f"modules.{name}"] = types.ModuleType(f"modules.{name}")
        vars(module).update(members)
        setattr(modules, name, module)
    parser = modules.prompt_parser = load(webui, "prompt_parser")
    hijack = load(webui, "sd_hijack_clip")

    read = parser.get_learned_conditioning_prompt_schedules
    draw = random.Random(5)
    drawn = {"".join(draw.choices(PIECES, k=draw.randint(3, 9))) for _ in range(600)}
    prompts = SCHEDULES + [prompt for prompt in sorted(drawn - set(SCHEDULES)) if clear(parser, prompt)]
    schedules = [dict(prompt=prompt, steps=steps, texts=read([prompt], steps)[0])
                 for steps, some in ((10, prompts), (7, SCHEDULES), (1, SCHEDULES)) for prompt in some]

    compositions = []
    for prompt in COMPOSITIONS:
        indexes, flat, _ = parser.get_multicond_prompt_list(parser.SdConditioning([prompt]))
        compositions.append(dict(prompt=prompt, parts=[[flat[index], weight] for index, weight in indexes[0]]))

    tokenizer = CLIPTokenizer.from_pretrained(HERE / "sd1-tiny" / "tokenizer")
    clip = hijack.FrozenCLIPEmbedderWithCustomWordsBase.__new__(hijack.FrozenCLIPEmbedderWithCustomWordsBase)
    torch.nn.Module.__init__(clip)
    clip.chunk_length, clip.id_start, clip.id_end = 75, tokenizer.bos_token_id, tokenizer.eos_token_id
    clip.comma_token = tokenizer.get_vocab()[",</w>"]
    clip.tokenize = lambda texts: tokenizer(texts, truncation=False, add_special_tokens=False)["input_ids"]
    none = types.SimpleNamespace(find_embedding_at_position=lambda tokens, position: (None, None))
    clip.hijack = types.SimpleNamespace(embedding_db=none)
    words = "red green blue apple ghost pizza house , , , , (x:1.3) [y] BREAK".split()
    lines = [", ".join(["red apple"] * 40), "red " * 80 + ", apple", "red " * 70 + ", " + "apple " * 20, "red , " * 60, "," * 90]
    lines += [" ".join(draw.choices(words, k=draw.randint(60, 130))) for _ in range(30)]
    chunks = []
    for line in lines:
        for options.comma_padding_backtrack in (20, 0, 3, 60):
            rows, count = clip.tokenize_line(line)
            lengths = [next((i for i, token in enumerate(row.tokens[1:]) if token == clip.id_end), 75) for row in rows]
            chunks.append(dict(prompt=line, backtrack=options.comma_padding_backtrack, lengths=lengths))

    line = lambda entry: json.dumps(entry, ensure_ascii=False)
    parts = [f'"{name}": [\n  ' + ",\n  ".join(map(line, entries)) + "\n ]" for name, entries in
             dict(schedules=schedules, compositions=compositions, chunks=chunks).items()]
    out = HERE / "prompts"
    out.mkdir(exist_ok=True)
    (out / "webui.json").write_text('{\n "made_by": "tests/golden/make_prompts.py",\n ' + ",\n ".join(parts) + "\n}\n", encoding="utf8")


def pipeline(cls, model, scheduler):
    pipe = cls.from_pretrained(HERE / model, torch_dtype=torch.float32, safety_checker=None, feature_extractor=None) \
        if cls is StableDiffusionPipeline else cls.from_pretrained(HERE / model, torch_dtype=torch.float32, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    return pipe


def runs():
    tensors, cases = {}, {}
    seed, size = 7, dict(height=64, width=64)

    def record(name, model, latents, **request):
        tensors[name] = latents[0].contiguous()
        cases[name] = dict(model=model, seed=seed, width=64, height=64, **request)

    generator = lambda: torch.Generator().manual_seed(seed)
    sd = pipeline(StableDiffusionPipeline, "sd1-tiny", DDIMScheduler)
    embed = lambda text: sd.encode_prompt([text], "cpu", 1, False)[0]

    def edited(pairs, guidance):
        """A run whose negative and positive text in each step are those of a list; without guidance, the positive ones."""
        def change(pipe, index, timestep, tensors):
            if index + 1 < len(pairs):
                both = torch.cat([embed(text) for text in pairs[index + 1]])
                tensors["prompt_embeds"] = both if guidance > 1 else both[1:]
            return tensors
        return sd(prompt=pairs[0][1], negative_prompt=pairs[0][0], num_inference_steps=len(pairs), guidance_scale=guidance, output_type="latent",
                  generator=generator(), callback_on_step_end=change, callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"], **size).images

    ddim = dict(scheduler="DDIMScheduler")
    red, blue = "a red apple", "a blue apple"
    record("sd.edit", "sd1-tiny", edited([("", red)] * 3 + [("", blue)] * 2, 7.5), prompt="a [red:blue:2] apple", negative_prompt="", steps=5,
           guidance_scale=7.5, **ddim)
    record("sd.edit_unguided", "sd1-tiny", edited([("", red)] * 3 + [("", blue)] * 2, 1.0), prompt="a [red:blue:2] apple", negative_prompt="",
           steps=5, guidance_scale=1.0, **ddim)
    turns = ["a cat", "a cat", "a dog", "a cat", "a dog"]
    record("sd.alternate", "sd1-tiny", edited([("pizza" if index < 3 else "green pizza", text) for index, text in enumerate(turns)], 5.0),
           prompt="a [cat|dog]", negative_prompt="[green :0.4]pizza", steps=5, guidance_scale=5.0, **ddim)

    def composed(pipe, negative, prompts, steps, guidance):
        """A run guided by several prompts with weights."""
        context = torch.cat([embed(text) for text in [negative, *(text for text, _ in prompts)]])
        pipe.scheduler.set_timesteps(steps)
        x = torch.randn((1, 4, 64 // pipe.vae_scale_factor, 64 // pipe.vae_scale_factor), generator=generator()) * pipe.scheduler.init_noise_sigma
        for t in pipe.scheduler.timesteps:
            output = pipe.unet(pipe.scheduler.scale_model_input(torch.cat([x] * len(context)), t), t, encoder_hidden_states=context).sample
            guided = output[:1].clone()
            for (_, weight), one in zip(prompts, output[1:]):
                guided += (one - output[0]) * (weight * guidance)
            x = pipe.scheduler.step(guided, t, x).prev_sample
        return x

    record("sd.one", "sd1-tiny", composed(sd, "pizza", [(red, 1.0)], 4, 6.0), prompt=red, negative_prompt="pizza", steps=4, guidance_scale=6.0, **ddim)
    record("sd.and", "sd1-tiny", composed(sd, "pizza", [(red, 1.0), ("a blue heart", 0.6), ("a ghost", -0.3)], 4, 6.0),
           prompt="a red apple AND a blue heart :0.6 AND a ghost:-.3", negative_prompt="pizza", steps=4, guidance_scale=6.0, **ddim)
    record("sd.and_unguided", "sd1-tiny", composed(sd, "", [(red, 0.5), ("a blue heart", 0.5)], 4, 1.0),
           prompt="a red apple :0.5 AND a blue heart :0.5", negative_prompt="", steps=4, guidance_scale=1.0, **ddim)

    xl = pipeline(StableDiffusionXLPipeline, "sdxl-tiny", EulerDiscreteScheduler)
    common = dict(num_inference_steps=4, guidance_scale=5.0, output_type="latent", **size)
    euler = dict(steps=4, guidance_scale=5.0, scheduler="EulerDiscreteScheduler")

    def change(pipe, index, timestep, tensors):
        if index == 2:
            yes, _, pooled, _ = pipe.encode_prompt([blue], device="cpu", do_classifier_free_guidance=False)
            tensors["prompt_embeds"] = torch.cat([tensors["prompt_embeds"][:1], yes])
            tensors["add_text_embeds"] = torch.cat([tensors["add_text_embeds"][:1], pooled])
        return tensors

    record("xl.edit", "sdxl-tiny", xl(prompt=red, negative_prompt="a ghost", generator=generator(), callback_on_step_end=change,
           callback_on_step_end_tensor_inputs=["latents", "prompt_embeds", "add_text_embeds"], **common).images,
           prompt="a [red:blue:0.5] apple", negative_prompt="a ghost", **euler)
    for name, texts in dict(both=dict(negative_prompt="a ghost", prompt_2="a pizza", negative_prompt_2="a cat"),
                            prompt_2=dict(negative_prompt="a ghost", prompt_2="a pizza"),
                            zeros=dict(prompt_2="a pizza"),
                            negative_2=dict(negative_prompt="", negative_prompt_2="a cat")).items():
        record(f"xl.{name}", "sdxl-tiny", xl(prompt=red, generator=generator(), **texts, **common).images,
               **(dict(prompt=red, negative_prompt="") | texts), **euler)
    sizes = dict(original_size=(512, 768), crops_coords_top_left=(8, 24), target_size=(1024, 960))
    negative = dict(negative_original_size=(256, 128), negative_crops_coords_top_left=(4, 2), negative_target_size=(512, 640))
    record("xl.sizes", "sdxl-tiny", xl(prompt=red, negative_prompt="a ghost", generator=generator(), **sizes, **negative, **common).images,
           prompt=red, negative_prompt="a ghost", **sizes, **negative, **euler)

    save_file(tensors, HERE / "prompts" / "golden.safetensors")
    lines = ",\n  ".join(f'"{name}": {json.dumps(case)}' for name, case in cases.items())
    (HERE / "prompts" / "golden.json").write_text(f'{{\n "made_by": "tests/golden/make_prompts.py",\n "runs": {{\n  {lines}\n }}\n}}\n')


if __name__ == "__main__":
    main(sys.argv[1])
    runs()
