#!/usr/bin/env python3
"""Makes the golden values of upscalers: seeded random networks of spandrel's classes and their results.

    python tests/golden/make_upscalers.py            # rewrites upscalers/
    python tests/golden/make_upscalers.py --check    # compares with the committed files
    python tests/golden/make_upscalers.py --write compact-x4 tiny.safetensors   # writes the network of a case

upscalers/golden.json has for every case the weights, which are not kept: each is torch.randn by its seed, times `scale`, plus `shift`,
rounded to f16. `names` are those of Real-ESRGAN's files, `others` those of earlier releases in the same order; spandrel recognises and
runs a file under all of them with the same result. `network_scale` is spandrel's.

upscalers/golden.safetensors has for every case, in f32 arithmetic and PyTorch's layout NCHW:

    CASE.image              the input, bytes / 255
    CASE.upscaled           the result
    CASE.<layer>            of some cases, the output of that layer under Real-ESRGAN's name
    lanczos.larger, .smaller  `compact-x4.image` at 29x17 and 8x5 pixels, by Pillow's LANCZOS
"""
import argparse, json, os, sys

sys.dont_write_bytecode = True
import numpy, spandrel, torch
from PIL import Image
from safetensors.torch import load_file, save_file
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "upscalers")
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
torch.set_grad_enabled(False)


def randn(seed, shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def draw(tensor):
    """A weight by its entry in golden.json."""
    name, shape, seed, scale, shift = tensor
    return (randn(seed, shape) * scale + shift).half().float()


def entry(name, shape, seed, last):
    """A weight that keeps the variance of activations; results are pictures around 0.5."""
    shift = 0.0
    if name == last + ".bias":
        scale, shift = 0.1, 0.5 if last == "conv_last" else 0.0
    elif name.endswith("bias"):
        scale = 0.1
    elif len(shape) == 1:  # slopes
        scale, shift = 0.1, 0.25
    else:
        scale = (0.3 if name == last + ".weight" else 1.3) / numpy.prod(shape[1:]) ** 0.5
    return [name, list(shape), seed, float(numpy.float32(scale)), shift]


def real_esrgan(name, last):
    """Real-ESRGAN's name of one of ESRGAN's first release, as spandrel's class has them."""
    parts = name.split(".")
    kind = parts.pop()
    if parts[:3] == ["model", "1", "sub"]:
        if len(parts) == 4:
            return f"conv_body.{kind}"
        return f"body.{parts[3]}.{parts[4].lower()}.{parts[5]}.{kind}"
    index = int(parts[1])
    layers = {0: "conv_first", last - 2: "conv_hr", last: "conv_last"}
    return f"{layers.get(index, f'conv_up{index // 3}')}.{kind}"


def second_release(name):
    """The name in ESRGAN's second release and in BSRGAN."""
    head, _, rest = name.partition(".")
    if head == "body":
        block, dense, rest = rest.split(".", 2)
        return f"RRDB_trunk.{block}.{dense.upper()}.{rest}"
    known = {"conv_body": "trunk_conv", "conv_hr": "HRconv", "conv_up1": "upconv1", "conv_up2": "upconv2"}
    return f"{known.get(head, head)}.{rest}"


def load(names, tensors):
    return spandrel.ModelLoader().load_from_state_dict(dict(zip(names, tensors)))


def case(key, seed, model, size, T, tapped=False):
    esrgan = isinstance(model, ESRGAN)
    own = [name for name, _ in sorted(model.named_parameters())]
    shapes = {name: p.shape for name, p in model.named_parameters()}
    if esrgan:
        last = max(int(name.split(".")[1]) for name in own)
        blocks = max(int(name.split(".")[3]) for name in own if name.startswith("model.1.sub."))
        names = [real_esrgan(name, last) for name in own]
        output, others = "conv_last", [own, [second_release(name) for name in names]]
        if any("conv1x1" in name or "conv_up3" in name for name in names):
            others.pop()  # later than that release
    else:
        names, others = own, []
        output = max(own, key=lambda name: int(name.split(".")[1])).rsplit(".", 1)[0]
    weights = [entry(name, shapes[o], 1000 * seed + index, output) for index, (name, o) in enumerate(zip(names, own))]
    tensors = [draw(weight) for weight in weights]
    width, height = size
    rough = randn(1000 * seed + 999, (1, 3, (height + 3) // 4, (width + 3) // 4)) * 0.3 + 0.5
    smooth = torch.nn.functional.interpolate(rough, size=(height, width), mode="bicubic")
    image = (smooth.clamp(0, 1) * 255).round() / 255
    T[f"{key}.image"] = image

    # Not every spelling is one that spandrel recognises: it looks for those of the published files.
    loaded = load(names if not any("conv1x1" in n for n in names) else own, tensors)
    hooks = []
    if tapped:
        layers = {}
        for name, module in loaded.model.named_modules():
            if esrgan:
                parts = name.split(".")
                if parts[:3] == ["model", "1", "sub"] and len(parts) in (4, 5) and int(parts[3]) < blocks:
                    layers[name] = "body." + ".".join(parts[3:]).lower()
                elif name == "model.1":
                    layers[name] = "conv_body"
                elif name == "model.4":
                    layers[name] = "conv_up1"
                elif name == "model.0":
                    layers[name] = "conv_first"
            elif isinstance(module, torch.nn.PReLU):
                layers[name] = name
            if name in layers:
                keep = lambda m, i, out, name=layers[name]: T.__setitem__(f"{key}.{name}", out)
                hooks.append(module.register_forward_hook(keep))
    T[f"{key}.upscaled"] = loaded.model(image)
    [hook.remove() for hook in hooks]
    for other in others:
        again = load(other, tensors)
        assert again.scale == loaded.scale and torch.equal(again.model(image), T[f"{key}.upscaled"]), key
    assert T[f"{key}.upscaled"].shape[2:] == (loaded.scale * height, loaded.scale * width), key
    return {"network_scale": loaded.scale, "weights": weights, "others": others}


def make():
    T = {}
    new = lambda **shape: ESRGAN(**{"in_nc": 3, "out_nc": 3, "num_blocks": 1, "scale": 4, **shape})
    cases = {
        "esrgan-x4": case("esrgan-x4", 1, new(num_filters=64), (12, 9), T),
        "esrgan-x2": case("esrgan-x2", 2, new(num_filters=16, num_blocks=2, in_nc=12, shuffle_factor=2), (15, 13), T, True),
        "esrgan-x1": case("esrgan-x1", 3, new(num_filters=16, in_nc=48, shuffle_factor=4), (18, 11), T),
        "esrgan-x8": case("esrgan-x8", 4, new(num_filters=16, scale=8), (6, 5), T),
        "esrgan-plain-x1": case("esrgan-plain-x1", 5, new(num_filters=16, scale=1), (14, 12), T),
        "esrgan-plus-x4": case("esrgan-plus-x4", 6, new(num_filters=16, plus=True), (8, 7), T),
        "compact-x4": case("compact-x4", 7, Compact(num_feat=24, num_conv=3, upscale=4), (13, 11), T, True),
        "compact-x3": case("compact-x3", 8, Compact(num_feat=10, num_conv=2, upscale=3), (9, 7), T),
        "compact-x1": case("compact-x1", 9, Compact(num_feat=8, num_conv=1, upscale=1), (9, 7), T),
    }
    pixels = (T["compact-x4.image"][0].permute(1, 2, 0) * 255).round().byte().numpy()
    for key, size in [("larger", (29, 17)), ("smaller", (8, 5))]:
        resized = numpy.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
        T[f"lanczos.{key}"] = torch.from_numpy(resized.copy()).permute(2, 0, 1)[None] / 255
    T = {key: value.float().contiguous().clone() for key, value in sorted(T.items())}
    assert all(value.isfinite().all() for value in T.values())
    return cases, T


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", nargs=2, metavar=("CASE", "FILE"))
    options = parser.parse_args()
    check = options.check
    cases, T = make()
    if options.write:
        key, file = options.write
        return save_file({weight[0]: draw(weight).half() for weight in cases[key]["weights"]}, file)
    for key in cases:
        result = T[f"{key}.upscaled"]
        print(f"{key}: {tuple(result.shape)}, mean {result.mean():.3f}, deviation {result.std():.3f}")
    golden, values = os.path.join(OUT, "golden.json"), os.path.join(OUT, "golden.safetensors")
    if check:
        with open(golden) as file:
            assert json.load(file) == cases, "golden.json differs"
        committed = load_file(values)
        assert committed.keys() == T.keys()
        worst = max(float((committed[key] - T[key]).abs().max()) for key in T)
        assert worst < 1e-4, f"golden.safetensors differs by {worst}"
        return print(f"equal, values up to {worst:.1e}")
    os.makedirs(OUT, exist_ok=True)
    with open(golden, "w") as file:
        lines = []
        for key, case in cases.items():
            weights = ",\n      ".join(json.dumps(weight) for weight in case["weights"])
            others = ",\n      ".join(json.dumps(names) for names in case["others"])
            lines.append(f'  "{key}": {{\n    "network_scale": {case["network_scale"]},\n    "weights": [\n      {weights}\n    ],\n'
                         f'    "others": [\n      {others}\n    ]\n  }}')
        file.write("{\n" + ",\n".join(lines) + "\n}\n")
    versions = {"spandrel": spandrel.__version__, "torch": torch.__version__.split("+")[0]}
    save_file(T, values, metadata=versions)


if __name__ == "__main__":
    main()
