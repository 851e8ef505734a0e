#!/usr/bin/env bash
# Compares this checkout with another revision bit by bit: latents and pictures of the embedded model and of three
# tiny families, in every storage type. It builds `fingerprint.rs` as an example of both and compares what they print.
#
#   tests/compare/compare.sh REVISION
set -euo pipefail
revision=${1:?a revision to compare with, such as HEAD~1}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=$PWD
work=$here/target/compare
mkdir -p "$work"
git worktree remove --force "$work/old" 2>/dev/null || true
git worktree add --force --detach "$work/old" "$revision" >/dev/null
trap 'git worktree remove --force "$work/old"; rm -f "$here/examples/fingerprint.rs"' EXIT

build() { # build CHECKOUT TARGET: the example in a checkout
  mkdir -p "$1/examples"
  cp "$here/tests/compare/fingerprint.rs" "$1/examples/fingerprint.rs"
  # Revisions before the types stood at the crate's root name them by module.
  if ! grep -q '^pub use diffusion::{Diffusion' "$1/src/lib.rs"; then
    sed -i 's/^use croquis::{.*};$/use croquis::{diffusion::{Diffusion, ModelFiles, Request}, gpu::{DeviceOptions, Gpu}, shape::Storage};/' \
      "$1/examples/fingerprint.rs"
  fi
  (cd "$1" && CARGO_TARGET_DIR=$2 cargo build --release --quiet --example fingerprint)
}

build "$work/old" "$work/target"
build "$here" "${CARGO_TARGET_DIR:-$here/target}"
models=(embedded "$work/sd21-tiny")
for tiny in sd1-tiny sdxl-tiny; do models+=("$here/tests/golden/$tiny"); done
rm -rf "$work/sd21-tiny"
cargo run --release --quiet -- synth sd21-tiny "$work/sd21-tiny" >/dev/null

"$work/target/release/examples/fingerprint" "${models[@]}" | tee "$work/old.txt"
"${CARGO_TARGET_DIR:-$here/target}/release/examples/fingerprint" "${models[@]}" >"$work/new.txt"
if [ ! -s "$work/old.txt" ]; then echo "nothing was compared" >&2; exit 1; fi
# The comparison itself must notice one changed digit.
if sed '1s/latents ./latents x/' "$work/old.txt" | cmp -s - "$work/old.txt"; then echo "the comparison sees nothing" >&2; exit 1; fi
if diff "$work/old.txt" "$work/new.txt"; then
  echo "$(wc -l <"$work/old.txt") results are bit-identical to $revision"
else
  echo "results differ from $revision" >&2
  exit 1
fi
