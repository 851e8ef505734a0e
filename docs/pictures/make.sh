#!/usr/bin/env bash
# Draws the README's pictures with the embedded model into out/pictures/, and the sheet of them, sheet.png, here.
#
#   docs/pictures/make.sh [CROQUIS]     the command to draw with: target/release/croquis
#
# Each picture is what `croquis txt2img PROMPT --seed SEED` draws on any device, up to rounding. The sheet needs
# python3 with Pillow (PYTHON names another interpreter).
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
croquis=$(realpath "${1:-$folder/../../target/release/croquis}")
mkdir -p "$folder/../../out/pictures"
cd "$folder/../../out/pictures"
seed=42
prompts=(
  "a red apple"
  "a strawberry"
  "a rainbow"
  "a cactus"
  "a grinning face"
  "a water drop on a yellow background"
)

files=()
for prompt in "${prompts[@]}"; do
  file=${prompt// /-}.png
  "$croquis" txt2img "$prompt" --seed $seed --storage f32 -o "$file"
  files+=("$file" "$prompt")
done

# Sheet: three a row, enlarged 64 → 192 pixels, each over its prompt.
"${PYTHON:-python3}" - "$folder/sheet.png" "${files[@]}" <<'PYTHON'
import sys
import textwrap
from PIL import Image, ImageDraw, ImageFont

pairs = list(zip(sys.argv[2::2], sys.argv[3::2]))
side, gap, caption, columns = 192, 16, 44, 3
rows = -(-len(pairs) // columns)
size = (columns * (side + gap) + gap, rows * (side + caption + gap) + gap)
sheet = Image.new("RGB", size, "white")
draw = ImageDraw.Draw(sheet)
font = ImageFont.load_default(size=14)
for index, (file, prompt) in enumerate(pairs):
    x = gap + index % columns * (side + gap)
    y = gap + index // columns * (side + caption + gap)
    picture = Image.open(file).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    sheet.paste(picture, (x, y))
    draw.rectangle((x, y, x + side - 1, y + side - 1), outline="#dddddd")
    text = "\n".join(textwrap.wrap(prompt, 28))
    draw.multiline_text((x, y + side + 5), text, fill="#333333", font=font)
sheet.save(sys.argv[1], optimize=True)
PYTHON
echo "$folder/sheet.png"
