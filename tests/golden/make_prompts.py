"""Writes prompts/webui.json: how AUTOMATIC1111's stable-diffusion-webui reads prompts.

    python tests/golden/make_prompts.py WEBUI

WEBUI is a checkout, of which modules/prompt_parser.py and modules/sd_hijack_clip.py run (made with 1.7.0); they need torch and lark.
`schedules` are prompts with their text up to each step, `compositions` those split at AND, `chunks` the token ids of long prompts with
the tokenizer of sd1-tiny.
"""

import importlib.util
import json
import pathlib
import random
import re
import sys
import types

import torch
from transformers import CLIPTokenizer

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


if __name__ == "__main__":
    main(sys.argv[1])
