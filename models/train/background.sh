#!/usr/bin/env bash
# Trains the embedded model further on idle processor time, at the lowest priority; resumable.
#   background.sh run [MINUTES]   start or resume (170 minutes by default); returns at once, logs to $STATE/train.log
#   background.sh status          last lines of the log
#   background.sh stop
#   background.sh export DIR      writes weights, golden tensors and contact sheets into DIR (a copy of ../emoji-64)
# STATE is the folder with the data, the VAE and the optimizer state, by default ~/.cache/croquis-train. It is not part of the
# repository: README.md, "Reproduce", makes it from nothing. A folder ../state, where there is one, is copied as its start.
# PYTHON names an interpreter with requirements.txt installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); state=${STATE:-$HOME/.cache/croquis-train}
if [ ! -e "$state/data" ] && [ -d "$here/../state" ]; then mkdir -p "$state"; cp -r "$here/../state/." "$state/"; fi
case "${1:-}" in run | export)
  if [ ! -e "$state/data" ] || ! compgen -G "$state/vae_*.pt" >/dev/null; then
    echo "background.sh: no data and no VAE in $state, so there is nothing to go on from." >&2
    echo "Make them from nothing with the lines data.py and train_vae.py of README.md (\"Reproduce\", S=$state)," >&2
    echo "then run this again: the text encoder and the UNet start from scratch. Or set STATE to a folder that has them." >&2
    exit 1
  fi
  if [ -z "${PYTHON:-}" ]; then
    PYTHON=$state/venv/bin/python
    [ -x "$PYTHON" ] || { python3 -m venv "$state/venv" && "$state/venv/bin/pip" install -q -r "$here/requirements.txt"; }
  fi ;;
esac
cd "$here"; export PYTHONDONTWRITEBYTECODE=1
case "${1:-}" in
run) if [ -e "$state/pid" ] && kill -0 "$(cat "$state/pid")" 2>/dev/null; then echo "already running"; exit 0; fi
     setsid nice -n 19 "$PYTHON" train.py --state "$state" --minutes 3000 --stop-after "${2:-170}" --threads 2 --batch 64 --per-caption 2 \
       --lr 7e-4 --ema 0.999 --text-lr 0.3 --t-power 0.5 --tokenizer "$here/../emoji-64/tokenizer" >>"$state/train.log" 2>&1 </dev/null &
     echo 19 2>/dev/null >"/proc/$!/autogroup" || true # Linux weighs whole sessions first: without this, nice is lost on others
     echo $! >"$state/pid"; echo "training in the background, see $state/train.log" ;;
status) tail -n 3 "$state/train.log" ;;
stop) kill "$(cat "$state/pid")" && rm -f "$state/pid" ;;
export) out=${2:?folder}; [ -e "$out/tokenizer" ] || { mkdir -p "$out"; cp -r "$here/../emoji-64/." "$out/"; }
     "$PYTHON" export.py --state "$state" --out "$out" && "$PYTHON" sample.py --model "$out" --golden ;;
*) sed -n 2,10p background.sh; exit 2 ;;
esac
