"""Writes tokenizer_clip.safetensors: 10,000 texts and their ids by transformers' CLIPTokenizer with CLIP's vocabulary.

    python tests/golden/make_tokenizer_clip.py

Needs transformers >= 5. Texts and ids (without start, end and padding) are concatenated in `texts` (UTF-8) and `ids` (u16);
`text_ends` and `id_ends` are their ends. `pad_*` holds the first texts again, with "!" as padding, which makes "!" a special
token.
"""

import random
import unicodedata
from pathlib import Path

import numpy as np
import transformers
from safetensors.numpy import save_file
from transformers import CLIPTokenizer

HERE = Path(__file__).resolve().parent
MERGES = HERE.parent.parent / "src/tokenizer/clip/merges.txt"
COUNT, PAD_COUNT = 10_000, 1_500

WORDS = """a the photo of portrait masterpiece best quality 4k 8K hdr trending on artstation greg rutkowski cinematic
lighting Unreal Engine f/1.8 85mm bokeh cyberpunk it's don't WE'RE they've I'm we'll he'd 'tis rock'n'roll o'clock ''s
straße STRASSE ẞ İstanbul ıI ΑΣ Σας ὈΔΥΣΣΕΎΣ Ǆ ǅ ﬁﬂ ŉ naïve façade Ångström Žluťoučký kůň Đặng résumé coöperate ñandú
Привет мир ПРИВЕТ ёлка їжак γειά κόσμε שלום עולם שָׁלוֹם مرحبا بالعالم مُحَمَّد پارسی اردو नमस्ते दुनिया বাংলা தமிழ் తెలుగు ไทย สวัสดี
ភាសា မြန်မာ ລາວ བོད་ አማርኛ ქართული ᲥᲐᲠᲗᲣᲚᲘ հայերեն ᏣᎳᎩ 你好 世界 繁體 一只红苹果 漢字 かな カタカナ ｶﾅ こんにちは 안녕하세요 한글 ＦＵＬＬ ｗｉｄｔｈ １２ 𠮷野家 𓂀 𝓯𝓪𝓷𝓬𝔂 𝟙𝟚𝟛
Ⅳ ½ ² ① ٣٤٥ १२३ ㊗ 〇 42 007 3.14159 1,000,000 2x4 x2 1e-5 C++ c# user@example.com http://example.com/?q=a+b&c=d#e
<|endoftext|> <|startoftext|> <|ENDOFTEXT|> <|endoftext| |endoftext|> </w> a</w>b <lora:apple:0.8> <b>bold</b> &amp; &lt; &#39;
(red:1.3) ((masterpiece)) [bad] {good} \\(x\\) BREAK AND a|b --ar #1 50% ~/a/b C:\\path "quoted" “curly” ‘quotes’ – — … it’s ! !! ?! !?!? ... , ; :""".split()
EMOJI = "🍎 ❤ ❤️ 👍🏽 👩‍🚀 👨‍👩‍👧‍👦 🇩🇪 🇯🇵🇰🇷 1️⃣ 🏳️‍🌈 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ☃ ☺️ 😀😃😄 🫠🫡🪿 🧑🏿‍🤝‍🧑🏻 ©®™ ★☆ ♥♦ →← ∞≠≈ 🀄 ⚧️ 🫱🏻‍🫲🏿".split()
SPACES = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2003\u2009\u2028\u2029\u202f\u205f\u3000\u180e\u200b\u200c\u200d\u2060\ufeff"
BLOCKS = [(0x20, 0x7E)] * 3 + [
    (0x0, 0x1F), (0x7F, 0xA0), (0xA1, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x52F), (0x530, 0x6FF), (0x900, 0xDFF),
    (0xE00, 0x10FF), (0x1100, 0x11FF), (0x13A0, 0x13FF), (0x1C80, 0x1CBF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x2BFF),
    (0x2C00, 0x2DFF), (0x3000, 0x33FF), (0x4E00, 0x9FFF), (0xA640, 0xABFF), (0xAC00, 0xD7A3), (0xE000, 0xF8FF), (0xF900, 0xFFFD),
    (0x10000, 0x10FFF), (0x16E40, 0x16E9F), (0x1D100, 0x1D7FF), (0x1E900, 0x1E95F), (0x1F000, 0x1FAFF), (0x20000, 0x2FFFF), (0x30000, 0x10FFFF),
]


def texts():
    rng = random.Random(0)
    point = lambda: chr(rng.randint(*rng.choice(BLOCKS)))
    space = lambda: rng.choice(SPACES) if rng.random() < 0.2 else " "
    word = lambda: rng.choice(EMOJI if rng.random() < 0.15 else WORDS)

    def prompt():
        return "".join(rng.choice([word() + space(), word() + ", ", word()]) for _ in range(rng.randint(1, 9)))

    def noise():
        return "".join(point() for _ in range(rng.randint(1, 14)))

    def mixture():
        return "".join(rng.choice([word, point, space])() for _ in range(rng.randint(1, 12)))

    def marks():  # letters with several accents, in all forms
        text = "".join(rng.choice("aeoiunscyAEOINÅéกखシは가") + "".join(chr(rng.randint(0x300, 0x36F)) for _ in range(rng.randint(0, 3)))
                       for _ in range(rng.randint(1, 8)))
        return unicodedata.normalize(rng.choice(["NFC", "NFD", "NFKC", "NFKD"]), text)

    def long_word():
        letters = rng.choice(["abcdefghijklmnopqrstuvwxyz", "0123456789", "!?.,-", "аеиорст", "的一是在", "🍎🍏", "aA1!"])
        return "".join(rng.choice(letters) for _ in range(rng.randint(20, 90)))

    def apostrophes():
        return "".join(rng.choice(["'", "'s", "'RE", "'ll", "’", "don", "x", " ", "'t", "'D"]) for _ in range(rng.randint(1, 10)))

    kinds = [prompt] * 8 + [noise] * 4 + [mixture] * 5 + [marks] * 2 + [long_word, apostrophes]
    found = dict.fromkeys(["", " ", "\x00", "a\x00b", "a" * 400, "cat " * 100])
    while len(found) < COUNT:
        text = rng.choice(kinds)()
        if not any(0xD800 <= ord(c) < 0xE000 for c in text):
            found[text] = None
    return list(found)


def tokenizer(pad):
    merges = [tuple(line.split(" ")) for line in MERGES.read_text(encoding="utf-8").splitlines()[1:]]
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    symbols = [chr(b) for b in visible] + [chr(256 + n) for n in range(256 - len(visible))]
    tokens = symbols + [s + "</w>" for s in symbols] + ["".join(pair) for pair in merges] + ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: id for id, token in enumerate(tokens)}, merges=merges, pad_token=pad)


def joined(prefix, rows, dtype):
    ends = np.cumsum([len(row) for row in rows], dtype=np.uint32)
    return {prefix: np.concatenate([np.array(row, dtype=dtype) for row in rows]), f"{prefix[:-1]}_ends": ends}


def main():
    found = texts()
    ids = lambda pad, some: tokenizer(pad)(some, add_special_tokens=False).input_ids
    tensors = joined("texts", [list(text.encode()) for text in found], np.uint8)
    tensors |= joined("ids", ids("<|endoftext|>", found), np.uint16)
    tensors |= joined("pad_ids", ids("!", found[:PAD_COUNT]), np.uint16)
    out = HERE / "tokenizer_clip.safetensors"
    save_file(tensors, out, metadata={"transformers": transformers.__version__})
    print(len(found), "texts,", len(tensors["ids"]), "ids,", out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
