"""Writes tokenizer.json: texts and the ids that transformers' CLIPTokenizer gives them.

    python tests/golden/make_tokenizer.py [models/emoji-64/tokenizer]

Needs transformers >= 5. `ids` are rows without the padding at their end.
"""

import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

import transformers
from transformers import CLIPTokenizer

HERE = Path(__file__).resolve().parent
FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else HERE.parent.parent / "models/emoji-64/tokenizer")

TEXTS = [
    "", " ", "  \t \n ", "a", "a red apple", "A Red APPLE", "a red apple ", " a  red\tapple\n",
    "a flat ghost on a purple background", "a photo of an astronaut riding a horse on mars",
    "glossy strawberry, green background", "pizza", "a slice of pizza", "taco & burrito",
    # Punctuation, numbers, weights and emphasis of other tools
    "!", "!!", "!!!", "!?!?", "...", ". . .", "a, b, c", "a,b,c", "a-b_c", "semi;colon:colon",
    "(red:1.3) apple", "((masterpiece)), [bad], {good}", "<lora:apple:0.8>", "50% off", "#1", "C++",
    "1", "12", "123", "1234567890", "3.14159", "1,000,000", "4k 8K 16k", "f/1.8 85mm", "2x4", "x2",
    "http://example.com/?q=a+b&c=d#e", "user@example.com", "C:\\path\\file.txt", "~/a/b", "$5 €6 £7 ¥8",
    "\"quoted\"", "'quoted'", "“curly” ‘quotes’ – — …", "a|b", "^caret^", "`code`", "a*b*c", "@#$%^&*()",
    # Contractions
    "it's", "IT'S", "don't", "we're", "they've", "I'm", "we'll", "he'd", "'s", "'S", "''s", "'''", "o'clock",
    "rock'n'roll", "the dogs' bowl", "y'all'd've", "it’s", "don’t", "'tis", "'re're", "x'llama", "'sapple",
    # Accents, composed and decomposed
    "café", "cafe\u0301", "naïve façade", "Ångström", "A\u030angstro\u0308m", "ÀÉÎÕÜ", "İstanbul", "ıI",
    "straße", "STRASSE", "ẞ", "ñandú", "Žluťoučký kůň", "Đặng", "ﬁﬂ ligatures", "Ǆ ǅ ǆ", "ΑΣ Σας ΟΔΟΣ", "e\u0301\u0327",
    "q\u0307\u0323", "\u0301", " \u0301a", "Å", "Ω", "한글", "\u1112\u1161\u11ab",
    # Other scripts
    "Привет, мир", "ПРИВЕТ", "ёлка", "γειά σου Κόσμε", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก",
    "你好，世界", "一只红苹果", "漢字とかな", "カタカナ ｶﾅ", "こんにちは世界", "안녕하세요 세계", "ﾊﾝｶｸ", "ＦＵＬＬ ｗｉｄｔｈ １２", "ქართული", "አማርኛ",
    "𝓯𝓪𝓷𝓬𝔂", "𝟙𝟚𝟛", "Ⅳ ⅳ ½ ² ①", "٣٤٥", "१२३", "㊗㊙", "〇一二三", "𠮷野家", "ꙮ", "𐐀𐐨", "ߊ", "ⴰ",
    # Emoji: modifiers, sequences, flags, keycaps
    "🍎", "🍎🍏", "a 🍎 apple", "❤", "❤️", "👍🏽", "👩‍🚀", "👨‍👩‍👧‍👦", "🇩🇪", "1️⃣", "🏳️‍🌈", "☃", "☺️", "😀😃😄", "apple🍎apple",
    "🫠🫡🪿", "©®™", "→←↔", "★☆", "♥♦", "░▒▓", "√∞≠≈",
    # Spaces, controls, invisible characters
    "a\u00a0b", "a\u2003b", "a\u3000b", "a\u200bb", "a\u200db", "a\ufeffb", "\ufeffa", "a\u2028b\u2029c", "a\u0085b",
    "a\x0bb\x0cc", "a\x00b", "\x00", "\x01\x02\x03", "a\x07b", "a\x1bb[0m", "\x7f", "a\x1cb\x1db\x1eb\x1fb", "a\u180eb",
    "a\u00adb", "a\u202eb\u202c", "\ufffd", "\ue000", "\U0010ffff", "\u0378", "a\r\nb", "a\u2060b", "\u1680a\u205fa\u202fa",
    # Special tokens as text
    "<|endoftext|>", "<|startoftext|>", "a<|endoftext|>b", "a <|endoftext|> b", "<|ENDOFTEXT|>", "<|endoftext|",
    "<|startoftext|>a red apple<|endoftext|>", "<|endoftext|><|endoftext|>", "<|x|>", "</w>", "a</w>b", "Ġ Ċ", "#version",
    # Too long
    "apple " * 29 + "end", "apple " * 30 + "end", "apple " * 31 + "end", "a" * 1000, "🍎" * 40, "word! " * 1000,
    "Pneumonoultramicroscopicsilicovolcanoconiosis supercalifragilisticexpialidocious",
]

EXCLAMATIONS = ["", "!", "!!", "a cat!", "a!b", "a !b", "! a !", "¡hola!", "(!)", "?!", "!" * 40, "!,", "<|endoftext|>!"]


def random_texts(count):
    rng = random.Random(0)
    ranges = [(0x20, 0x7E)] * 4 + [(0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x600, 0x6FF), (0x2000, 0x206F)]
    ranges += [(0x3000, 0x30FF), (0x4E00, 0x4FFF), (0x1F300, 0x1F6FF), (0x0, 0x1F)]
    for _ in range(count):
        points = [rng.randint(*rng.choice(ranges)) for _ in range(rng.randint(1, 24))]
        yield "".join(map(chr, points))


def rows(tokenizer, texts):
    out = []
    for text in texts:
        row = tokenizer(text, padding="max_length", truncation=True, max_length=tokenizer.model_max_length).input_ids
        assert len(row) == tokenizer.model_max_length
        end = max(i for i, token in enumerate(row) if token != tokenizer.pad_token_id or i == 0) + 1
        if tokenizer.pad_token_id == tokenizer.eos_token_id:
            end += 1  # keep the end-of-text token itself
        out.append(row[: min(end, len(row))])
    return out


def dump(pairs):
    lines = (json.dumps({"text": text, "ids": ids}) for text, ids in pairs)
    return "[\n    " + ",\n    ".join(lines) + "\n  ]"


def main():
    texts = list(dict.fromkeys(TEXTS + list(random_texts(60))))
    whole = CLIPTokenizer.from_pretrained(FOLDER)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(FOLDER, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
        (Path(folder) / "tokenizer.json").unlink()
        pair = CLIPTokenizer.from_pretrained(folder)
    ids = rows(whole, texts)
    assert ids == rows(pair, texts), "the two kinds of files differ"
    exclamation = CLIPTokenizer.from_pretrained(FOLDER, pad_token="!")
    assert exclamation.pad_token_id == whole.convert_tokens_to_ids("!")
    (HERE / "tokenizer.json").write_text(
        "{\n"
        f'  "transformers": "{transformers.__version__}",\n'
        f'  "max_length": {whole.model_max_length},\n'
        f'  "pad": {whole.pad_token_id},\n'
        f'  "texts": {dump(zip(texts, ids))},\n'
        f'  "exclamation_pad": {exclamation.pad_token_id},\n'
        f'  "exclamation_texts": {dump(zip(EXCLAMATIONS, rows(exclamation, EXCLAMATIONS)))}\n'
        "}\n"
    )
    print(len(texts), "texts")


if __name__ == "__main__":
    main()
