#!/usr/bin/env python3
"""Makes the golden fixtures of further autoencoders than sd1-tiny's: seeded random models and reference outputs of diffusers.

    python tests/golden/make_vae.py            # rewrites the folders below
    python tests/golden/make_vae.py --check    # compares with the committed ones

    taesd-tiny     AutoencoderTiny with the public TAESD's layers at a tenth of their width (10, which is not a multiple of 4).
    vae-variants   AutoencoderKL without attention, without quant_conv and post_quant_conv, with latents_mean, latents_std and
                   shift_factor.

Each holds config.json and f16 weights as diffusers saves them, and golden.safetensors: f32 arithmetic on the f16-rounded weights, in
PyTorch's layout NCHW. Keys:

    vae.<module path>       output of that module, named as in diffusers
    latents, image          the inputs: latents as the UNet has them, a picture in [-1, 1]
    decoded                 the picture of `latents` in about [-1, 1], by the arithmetic of diffusers' pipelines
    moments, encoded        of `image`: mean and log-variance; the latents for the UNet (for AutoencoderKL: of the mean)
"""
import argparse, json, os, shutil, sys, tempfile, warnings

sys.dont_write_bytecode = True
warnings.filterwarnings("ignore")
import diffusers, torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
diffusers.logging.set_verbosity_error()
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
torch.set_grad_enabled(False)


def randn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def randomise(model, seed, gain):
    """Fills a model with seeded weights that keep the variance of activations, rounded to f16."""
    for index, (name, p) in enumerate(sorted(model.named_parameters())):
        r = randn(1000 * seed + index, *p.shape)
        if "norm" in name:
            r = r * 0.2 + (1.0 if name.endswith("weight") else 0.0)
        else:
            r = r * 0.1 if name.endswith("bias") else r * gain / p[0].numel() ** 0.5
        p.copy_(r.half().float())
    return model.eval()


def record(T, model, wanted):
    """Adds hooks that record the outputs of the modules named in `wanted`."""
    def keep(name):
        return lambda module, args, out: T.__setitem__(f"vae.{name}", out)
    return [m.register_forward_hook(keep(name)) for name, m in model.named_modules() if wanted(name)]


def save(out, model, T):
    model.half().save_pretrained(out)
    model.float()
    T = {k: v.float().contiguous().clone() for k, v in sorted(T.items())}
    assert all(v.isfinite().all() for v in T.values())
    save_file(T, os.path.join(out, "golden.safetensors"), metadata={"diffusers": diffusers.__version__, "torch": torch.__version__.split("+")[0]})


def taesd(out):
    vae = AutoencoderTiny(encoder_block_out_channels=(10,) * 4, decoder_block_out_channels=(10,) * 4)
    randomise(vae, 1, 1.0)
    # the picture in about [0, 1], the latents of the size that the clamp lets through
    vae.decoder.layers[-1].weight.mul_(0.25)
    vae.decoder.layers[-1].bias.copy_(torch.tensor([0.5, 0.375, 0.625]))
    T = {"latents": randn(11, 1, 4, 3, 4) * 2, "image": randn(12, 1, 3, 24, 32).clamp(-1, 1)}
    # every layer with weights, and the first ReLU; upsampling is part of the convolution after it
    layer = lambda n: n.count(".") == 2 and ".layers." in n and not isinstance(vae.get_submodule(n), torch.nn.Upsample)
    hooks = record(T, vae, lambda n: layer(n) and n != "decoder.layers.0")
    T["decoded"] = vae.decode(T["latents"] / vae.config.scaling_factor).sample
    T["encoded"] = vae.encode(T["image"]).latents * vae.config.scaling_factor
    [h.remove() for h in hooks]
    save(out, vae, T)


def variants(out):
    vae = AutoencoderKL(in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(8, 8), layers_per_block=1,
                        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=4,
                        scaling_factor=0.5, shift_factor=0.25, latents_mean=[-1.5, 1.75, -1.25, 2.5], latents_std=[8.0, 6.0, 6.5, 5.25],
                        use_quant_conv=False, use_post_quant_conv=False, mid_block_add_attention=False, force_upcast=False)
    randomise(vae, 2, 1.0)
    config = vae.config
    mean, std = (torch.tensor(v).view(1, 4, 1, 1) for v in (config.latents_mean, config.latents_std))
    T = {"latents": randn(21, 1, 4, 5, 6), "image": randn(22, 1, 3, 10, 12).clamp(-1, 1)}
    wanted = lambda n: n.endswith(("conv_in", "conv_out")) or n.rsplit(".", 1)[0].endswith("resnets")
    hooks = record(T, vae, wanted)
    # as StableDiffusionXLPipeline and its image-to-image twin; the shift as in StableDiffusion3Pipeline
    T["decoded"] = vae.decode(T["latents"] * std / config.scaling_factor + mean + config.shift_factor).sample
    posterior = vae.encode(T["image"]).latent_dist
    [h.remove() for h in hooks]
    T["moments"] = posterior.parameters
    T["encoded"] = (posterior.mean - mean - config.shift_factor) * config.scaling_factor / std
    save(out, vae, T)


MAKERS = {"taesd-tiny": taesd, "vae-variants": variants}


def make_all(root):
    for name, make in MAKERS.items():
        out = os.path.join(root, name)
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        make(out)


def check():
    with tempfile.TemporaryDirectory() as tmp:
        make_all(tmp)
        bad = 0
        for name in MAKERS:
            for f in ("diffusion_pytorch_model.safetensors", "golden.safetensors"):
                a, b = load_file(os.path.join(HERE, name, f)), load_file(os.path.join(tmp, name, f))
                assert a.keys() == b.keys(), (name, f)
                err = max(float((a[k].double() - b[k].double()).norm() / a[k].double().norm().clamp(min=1e-30)) for k in a)
                print(f"{name}/{f}: {len(a)} tensors, largest difference {err:.1e}")
                bad += err > 1e-5
        sys.exit(bool(bad))


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--check", action="store_true", help="compare with the committed files, change nothing")
    if ap.parse_args().check:
        check()
    make_all(HERE)
    for name in MAKERS:
        print(name, {f: os.path.getsize(os.path.join(HERE, name, f)) for f in sorted(os.listdir(os.path.join(HERE, name)))})
