#!/usr/bin/env python3
"""Makes gguf/types.gguf, a tensor of each type that ggml writes, and gguf/types.safetensors, their values in f32 as the Python
package `gguf` dequantises them (`pip install gguf`; the version is in the metadata).

The blocks are random bytes with scales of moderate size, so that every bit of the formats is tested; quantising real values would
leave some bits zero. `reshaped` is stored as ComfyUI-GGUF stores tensors whose rows are not whole blocks.

    python tests/golden/make_gguf.py
"""
import os
from importlib.metadata import version

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from safetensors.numpy import save_file

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gguf")
# Bytes of a block at which halves lie.
BLOCKS = {T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2],
          T.Q5_K: [0, 2], T.Q6_K: [208]}
rng = np.random.default_rng(7)


def blocks(kind, rows, columns):
    len_, bytes_ = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (rows, columns // len_, bytes_), dtype=np.uint8)
    for at in BLOCKS[kind]:
        halves = rng.uniform(-0.1, 0.1, data.shape[:2]).astype(np.float16)
        data[..., at:at + 2] = halves[..., None].view(np.uint8)
    return data.reshape(rows, -1)


os.makedirs(OUT, exist_ok=True)
writer = gguf.GGUFWriter(os.path.join(OUT, "types.gguf"), "sd1")
writer.add_custom_alignment(64)
writer.add_string("test.text", "größer")
writer.add_float32("test.float", 1.5)
writer.add_bool("test.bool", True)
writer.add_int64("test.integer", -(1 << 40))
writer.add_array("test.words", ["a", "", "the"])
writer.add_array("test.numbers", list(range(40)))
golden = {}
plain = rng.standard_normal((3, 2, 3, 5)).astype(np.float32)
for name, array in [("f32", plain), ("f16", plain.astype(np.float16))]:
    writer.add_tensor(name, array)
    golden[name] = array.astype(np.float32)
bf16 = gguf.quants.quantize(plain, T.BF16)
writer.add_tensor("bf16", bf16, raw_dtype=T.BF16)
golden["bf16"] = gguf.quants.dequantize(bf16, T.BF16).reshape(plain.shape)
writer.add_tensor("i32", np.arange(6, dtype=np.int32))
for kind in BLOCKS:
    len_ = gguf.GGML_QUANT_SIZES[kind][0]
    data = blocks(kind, 3, 64 if len_ == 32 else 512)
    writer.add_tensor(kind.name.lower(), data, raw_dtype=kind)
    golden[kind.name.lower()] = gguf.quants.dequantize(data, kind)
data = blocks(T.Q4_0, 9, 64)
writer.add_tensor("reshaped", data, raw_dtype=T.Q4_0)
writer.add_array("comfy.gguf.orig_shape.reshaped", [8, 8, 3, 3])
golden["reshaped"] = gguf.quants.dequantize(data, T.Q4_0).reshape(8, 8, 3, 3)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
save_file({k: np.ascontiguousarray(v, np.float32) for k, v in golden.items()}, os.path.join(OUT, "types.safetensors"),
          {"gguf": version("gguf")})
