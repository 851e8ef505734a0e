#!/usr/bin/env python3
"""Makes the golden fixtures of this folder: tiny models with seeded random weights, and reference outputs of PyTorch and diffusers.

Run (any machine; some seconds on one core; needs the packages of models/train/requirements.txt and gguf):

    python tests/golden/make.py            # rewrites the folders below
    python tests/golden/make.py --check    # makes them elsewhere and compares with the committed ones
    python tests/golden/make.py NAME ...   # only these

The committed files came from the versions named in each golden.json. With the same versions the tensors are identical on every
run; with others they agree to about 1e-6, which is what --check allows.

What it makes, each a folder in the diffusers layout with random f16 weights:

    sd1-tiny          StableDiffusionPipeline as SD 1.x: 4 levels, 8 heads at every level (`attention_head_dim: 8`), 1x1-convolution
                      projections, quick_gelu CLIP, f8 AutoencoderKL, PNDM. Stored as the public SD 1.x checkpoints are: CLIP names with
                      the `text_model.` prefix and the integer `position_ids` buffer. Also inpainting with its four input channels.
    sd2-tiny          as SD 2.x: heads as a list, linear projections, 2 resnets a level, odd channel counts per group, gelu CLIP, pad
                      token "!", v-prediction DDIM. No `vae/` (its pipeline run borrows the one of sd1-tiny) and no `tokenizer.json`
                      (only `vocab.json` and `merges.txt`).
    mobile-tiny       MobileDiffusionUNet (models/train/model.py), only `unet/`: ReLU attention, self-attention without
                      cross-attention in the middle level, separable convolutions in some levels.
    sdxl-tiny         StableDiffusionXLPipeline: 3 levels with 0, 1 and 2 transformer layers, two text encoders with tokenizers that pad
                      differently, pooled embedding and sizes beside the timestep. Runs of SDXL-Turbo too. Weights of the autoencoder
                      as in sd1-tiny.
    refiner-tiny      StableDiffusionXLImg2ImgPipeline as XL's refiner, only `unet/` and `scheduler/`; its other components are those of
                      sdxl-tiny
    sd1-inpaint-tiny  StableDiffusionInpaintPipeline with 9 input channels (latents, mask, masked picture)
    lcm-tiny          LatentConsistencyModelPipeline: the guidance scale is an input of the UNet (`time_cond_proj_dim`)
    controlnet-tiny   StableDiffusionControlNetPipeline: `controlnet/` for the UNet of sd1-tiny
    ip-adapter-tiny   IP-Adapters in their files' published layout, a base and a plus variant for sd1-tiny,
                      a base variant for sdxl-tiny, and the image encoder of all
    bksdm-tiny        only `unet/`, as BK-SDM-Tiny: one ResBlock a level on the way down, no middle
    ssd1b-tiny        only `unet/`, as SSD-1B: a depth per transformer, a middle without attention
    single            single files in the original layout: sd1 (with CLIP's real vocabulary, so that its real tokenizer applies), sd2,
                      sdxl, each with a .golden.safetensors and a .golden.json whose `configs` are what diffusers and transformers would
                      store; the UNet of sd1 in GGUF, Q8_0 as stable-diffusion.cpp and Q4_0 as ComfyUI-GGUF writes it. diffusers' own
                      converters gave back the models from each file.

What a folder's model_index.json names and the folder has not is that of sd1-tiny.

Beside each: golden.safetensors (all f32, PyTorch's layouts: NCHW, [B, T, C]) and golden.json (inputs, seeds, settings). The
reference is f32 arithmetic on the f16-rounded weights. Keys:

    <module path>                 output of that module, named as in diffusers, under `unet.`, `text_encoder.`, `text_encoder_2.`,
                                  `controlnet.`, `vae.`; the inputs of the run are `unet.sample`, `unet.encoder_hidden_states`,
                                  `unet.added.text_embeds` and `unet.added.time_ids` (SDXL), `unet.timestep_cond` (LCM: the embedding
                                  of `guidance_scale` in golden.json, less one), `vae.decoder.latents` (before post_quant_conv),
                                  `vae.encoder.image`; `vae.quant_conv` = the moments (mean, log-variance). Row 0 of the text encoder's
                                  batch is the negative prompt, row 1 the prompt
    text_encoder.hidden_states.-2 SDXL: the last layer but one, without the final norm; both encoders' together are the UNet's context.
    text_encoder_2.text_embeds    SDXL: the pooled embedding, after the projection
    controlnet.image              its picture in [0, 1]; `controlnet.controlnet_down_blocks.<i>` and `controlnet.controlnet_mid_block` are
                                  the residuals; `unet.conv_out` in the same file is what sd1-tiny's UNet makes of them
    txt2img.<name>.*              a whole pipeline run: the draws, `step.<i>` (latents after scheduler step i), `latents`, `image`. The
                                  draws are listed in golden.json in their order from one generator: `noise`, `step_noise.<i>`
                                  (drawn by the scheduler in step i)
    img2img.<name>.*              the same; the first draw is `posterior_noise`; `init_latents` is the scaled sample of the posterior
    img2img.input                 its input picture, [1, 3, H, W] in [-1, 1]
    base.<name>.*, refined.<name>.*   sdxl-tiny up to `denoising_end`, and refiner-tiny from there on
    started.<name>.*              refiner-tiny from a picture's latents without noise (`denoising_start`)
    inpaint.<name>_<strength>.*   the same; `start` are the latents before the first step, `mask_latents` and `masked_image_latents` what the
                                  pipeline makes of its inputs (drawing `masked_posterior_noise`, last), `image_latents` the encoded
                                  picture (drawing `posterior_noise`, first), where it needs one
    inpaint.input, inpaint.mask   picture in [-1, 1], mask (1 = repaint)
    control.<name>.*, control.input   as txt2img; the picture in [-1, 1]
    several.<name>.*, several.input   the same with two ControlNets; the picture of the second
    <adapter>.<scale>_<guidance>.*, <adapter>.tokens   as txt2img, of an IP-Adapter; what it makes of the picture, unconditional first
    picture, wide, small, pixels.*    pictures in bytes [H, W, 3] and what the image encoder's processor makes of them
    image_encoder.*               its modules, for a zero image and `pixels.picture`
    odd.sample, odd.conv_out      the UNet at a size that is not divisible by what it halves, with `unet.encoder_hidden_states`

Images are decoder outputs before any clamp, about [-1, 1].
"""
import argparse, os, shutil, sys, tempfile

sys.dont_write_bytecode = True
from fixtures import HERE, distilled, ip_adapter, mobile, refiner, sd, sdxl, single, variants
from safetensors.torch import load_file

# in this order: the later ones borrow components of sd1-tiny
MAKERS = {"sd1-tiny": sd.make_sd1, "sd2-tiny": sd.make_sd2, "mobile-tiny": mobile.make_mobile, "sdxl-tiny": sdxl.make_sdxl,
          "refiner-tiny": refiner.make_refiner,
          "sd1-inpaint-tiny": variants.make_inpaint, "lcm-tiny": variants.make_lcm, "controlnet-tiny": variants.make_controlnet,
          "ip-adapter-tiny": ip_adapter.make_ip_adapter, "bksdm-tiny": distilled.make_bksdm, "ssd1b-tiny": distilled.make_ssd1b, "single": single.make_single}


def make_all(root, names):
    for name in names:
        out = os.path.join(root, name)
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        MAKERS[name](out)


def check(names):
    """Prints each folder's largest relative L2 difference of weights and goldens from the committed ones."""
    with tempfile.TemporaryDirectory() as tmp:
        make_all(tmp, names)
        bad = 0
        for d, _, files in os.walk(tmp):
            for f in (x for x in files if x.endswith(".safetensors")):
                rel = os.path.relpath(os.path.join(d, f), tmp)
                a, b = load_file(os.path.join(HERE, rel)), load_file(os.path.join(d, f))
                assert a.keys() == b.keys(), f"{rel}: {sorted(a.keys() ^ b.keys())[:5]}"
                err = max(float((a[k].double() - b[k].double()).norm() / a[k].double().norm().clamp(min=1e-30)) for k in a)
                print(f"{rel}: {len(a)} tensors, largest difference {err:.1e}")
                bad += err > 1e-5
            for f in (x for x in files if x.endswith(".gguf")):
                rel = os.path.relpath(os.path.join(d, f), tmp)
                same = open(os.path.join(HERE, rel), "rb").read() == open(os.path.join(d, f), "rb").read()
                print(f"{rel}: {'the same bytes' if same else 'other bytes'}")
                bad += not same
        return bool(bad)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--check", action="store_true", help="compare with the committed files, change nothing")
    ap.add_argument("names", nargs="*", help=f"which to make (default: all): {', '.join(MAKERS)}")
    args = ap.parse_args()
    names = args.names or list(MAKERS)
    if unknown := set(names) - set(MAKERS):
        ap.error(f"no fixture is called {', '.join(sorted(unknown))}")
    if args.check:
        sys.exit(check(names))
    make_all(HERE, names)
    for name in names:
        size = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(os.path.join(HERE, name)) for f in fs)
        print(f"{name}: {size / 1e6:.2f} MB")
