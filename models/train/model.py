"""A config-driven MobileDiffusion-like UNet (arXiv 2311.16567). Weight names are those of diffusers' UNet2DConditionModel.

Traits, each a switch per level (index 0 = highest resolution, last = innermost):
  transformer_layers   transformer blocks in each attention module of the level (0 = no attention there)
  self_attention       attn1 present
  cross_attention      attn2 present
  separable            3x3 convs of the level's resnets are depthwise 3x3 + pointwise 1x1
  separable_resample   the same for the conv of the level's down/upsampler (stride 2 is in the depthwise)
  shared_kv            one projection `to_kv`, used as K and as V
  attention_activation "softmax", or "relu": relu(q k^T / sqrt(d)) / L
  feed_forward         SwiGLU: ff.net.0.proj d -> 2*ff_mult*d, hidden * silu(gate), ff.net.2 ff_mult*d -> d
  layers_per_block     resnets per level of the down blocks; up_layers_per_block of the up blocks
"""
import json, math, os
import torch
import torch.nn as nn
import torch.nn.functional as F

DEFAULTS = dict(
    _class_name="MobileDiffusionUNet", sample_size=8, in_channels=8, out_channels=8,
    block_out_channels=[64, 192, 320], layers_per_block=1, up_layers_per_block=2,
    transformer_layers=[0, 1, 1], mid_transformer_layers=1,
    self_attention=[False, False, True], cross_attention=[False, True, True], separable=[False, True, True],
    separable_resample=[False, True, True], attention_head_dim=64, cross_attention_dim=192, shared_kv=True, attention_activation="softmax",
    feed_forward="swiglu", ff_mult=3, norm_num_groups=32, norm_eps=1e-5, transformer_norm_eps=1e-6,
    layer_norm_eps=1e-5, act_fn="silu", use_linear_projection=True, time_embed_dim=256, flip_sin_to_cos=True, freq_shift=0,
)

PRESETS = {
    # the embedded default, 64x64 px
    "emoji-64": dict(),
    # one GPU, 128x128 px
    "emoji-128": dict(sample_size=16, block_out_channels=[128, 256, 384], time_embed_dim=512, mid_transformer_layers=3, cross_attention_dim=256),
    # random weights only: sizes near the paper's models (512 px, f8 latents, CLIP ViT-L/14 text)
    "mobilediffusion": dict(sample_size=64, block_out_channels=[320, 640, 1024], transformer_layers=[0, 2, 3], mid_transformer_layers=5,
                            separable_resample=[False, False, False], cross_attention_dim=768, time_embed_dim=1280),
    "mobilediffusion-lite": dict(sample_size=64, block_out_channels=[320, 640, 896], transformer_layers=[0, 1, 3], mid_transformer_layers=3,
                                 cross_attention_dim=768, time_embed_dim=1280),
}


def timestep_embedding(t, dim, flip_sin_to_cos=True, freq_shift=0.0, max_period=10000):
    half = dim // 2
    f = torch.exp(-math.log(max_period) * torch.arange(half, dtype=torch.float32, device=t.device) / (half - freq_shift))
    e = t.float()[:, None] * f[None]
    e = torch.cat([e.sin(), e.cos()], -1)
    return torch.cat([e[:, half:], e[:, :half]], -1) if flip_sin_to_cos else e


# tap of a padded 3x3 kernel that links output position o to input position i of a 2x2 map
_IDX2 = torch.tensor([(i // 2 - o // 2 + 1) * 3 + (i % 2 - o % 2 + 1) for o in range(4) for i in range(4)])


class SeparableConv(nn.Module):
    def __init__(self, i, o, stride=1):
        super().__init__()
        self.depthwise = nn.Conv2d(i, i, 3, padding=1, stride=stride, groups=i, bias=False)
        self.pointwise = nn.Conv2d(i, o, 1)

    def forward(self, x):
        if x.device.type == "cpu" and x.shape[2] == x.shape[3] == 2 and self.depthwise.stride[0] == 1:  # the same sums, faster in training on a CPU
            B, C = x.shape[:2]
            w = self.depthwise.weight.reshape(C, 9)[:, _IDX2].reshape(C, 4, 4)
            h = (x.reshape(B, C, 1, 4) * w).sum(-1)
            p = self.pointwise
            return F.linear(h.transpose(1, 2), p.weight.reshape(p.out_channels, C), p.bias).transpose(1, 2).reshape(B, -1, 2, 2)
        return self.pointwise(self.depthwise(x))


def conv3(i, o, sep, stride=1):
    return SeparableConv(i, o, stride) if sep else nn.Conv2d(i, o, 3, padding=1, stride=stride)


class TimestepEmbedding(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(i, o), nn.Linear(o, o)

    def forward(self, x):
        return self.linear_2(F.silu(self.linear_1(x)))


class ResnetBlock(nn.Module):
    def __init__(self, i, o, temb, groups, eps, sep):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, i, eps=eps)
        self.conv1 = conv3(i, o, sep)
        self.time_emb_proj = nn.Linear(temb, o)
        self.norm2 = nn.GroupNorm(groups, o, eps=eps)
        self.conv2 = conv3(o, o, sep)
        self.conv_shortcut = nn.Conv2d(i, o, 1) if i != o else None

    def forward(self, x, temb):  # temb is silu(time embedding)
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(temb)[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return (x if self.conv_shortcut is None else self.conv_shortcut(x)) + h


class Attention(nn.Module):
    def __init__(self, dim, ctx_dim, head_dim, shared_kv, activation):
        super().__init__()
        self.heads, self.act = dim // head_dim, activation
        self.to_q = nn.Linear(dim, dim, bias=False)
        if shared_kv:
            self.to_kv = nn.Linear(ctx_dim, dim, bias=False)
        else:
            self.to_k, self.to_v = nn.Linear(ctx_dim, dim, bias=False), nn.Linear(ctx_dim, dim, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])
        self.shared = shared_kv

    def forward(self, x, ctx):
        B, N, C = x.shape
        Bc, L, _ = ctx.shape  # Bc may divide B: consecutive samples then share a context (training only)
        H = self.heads
        split = lambda t, n: t.reshape(Bc, n, H, C // H).transpose(1, 2)
        q = split(self.to_q(x), B // Bc * N)
        if self.shared:
            k = v = split(self.to_kv(ctx), L)
        else:
            k, v = split(self.to_k(ctx), L), split(self.to_v(ctx), L)
        if self.act == "softmax":
            o = F.scaled_dot_product_attention(q, k, v)
        else:
            o = F.relu(q @ k.transpose(-1, -2) / math.sqrt(C // H)) / L @ v
        return self.to_out[0](o.transpose(1, 2).reshape(B, N, C))


class SwiGLU(nn.Module):
    def __init__(self, d, inner):
        super().__init__()
        self.proj = nn.Linear(d, 2 * inner)

    def forward(self, x):
        h, g = self.proj(x).chunk(2, -1)
        return h * F.silu(g)


class FeedForward(nn.Module):
    def __init__(self, d, mult):
        super().__init__()
        self.net = nn.ModuleList([SwiGLU(d, mult * d), nn.Identity(), nn.Linear(mult * d, d)])

    def forward(self, x):
        return self.net[2](self.net[0](x))


class TransformerBlock(nn.Module):
    def __init__(self, d, c, self_attn, cross_attn):
        super().__init__()
        a = (c["attention_head_dim"], c["shared_kv"], c["attention_activation"])
        eps = c["layer_norm_eps"]
        self.norm1 = nn.LayerNorm(d, eps=eps) if self_attn else None
        self.attn1 = Attention(d, d, *a) if self_attn else None
        self.norm2 = nn.LayerNorm(d, eps=eps) if cross_attn else None
        self.attn2 = Attention(d, c["cross_attention_dim"], *a) if cross_attn else None
        self.norm3 = nn.LayerNorm(d, eps=eps)
        self.ff = FeedForward(d, c["ff_mult"])

    def forward(self, x, ctx):
        if self.attn1 is not None:
            h = self.norm1(x)
            x = x + self.attn1(h, h)
        if self.attn2 is not None:
            x = x + self.attn2(self.norm2(x), ctx)
        return x + self.ff(self.norm3(x))


class Transformer2D(nn.Module):
    def __init__(self, d, n, c, self_attn, cross_attn):
        super().__init__()
        self.norm = nn.GroupNorm(c["norm_num_groups"], d, eps=c["transformer_norm_eps"])
        self.proj_in = nn.Linear(d, d)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(d, c, self_attn, cross_attn) for _ in range(n)])
        self.proj_out = nn.Linear(d, d)

    def forward(self, x, ctx):
        B, C, H, W = x.shape
        h = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        for b in self.transformer_blocks:
            h = b(h, ctx)
        return x + self.proj_out(h).transpose(1, 2).reshape(B, C, H, W)


class Resample(nn.Module):
    def __init__(self, d, up, sep):
        super().__init__()
        self.up = up
        self.conv = conv3(d, d, sep, 1 if up else 2)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else x)


class Block(nn.Module):
    """A down, up or mid block; modules that it lacks are absent from the state dict."""
    def __init__(self, ins, outs, c, temb, sep, n_tr, sa, ca, sep_rs=False, resample=None, mid=False):
        super().__init__()
        g, e = c["norm_num_groups"], c["norm_eps"]
        self.resnets = nn.ModuleList([ResnetBlock(i, o, temb, g, e, sep) for i, o in zip(ins, outs)])
        n_att = (len(outs) - 1 if mid else len(outs)) if n_tr else 0
        self.attentions = nn.ModuleList([Transformer2D(outs[k], n_tr, c, sa, ca) for k in range(n_att)])
        if resample == "down":
            self.downsamplers = nn.ModuleList([Resample(outs[-1], False, sep_rs)])
        if resample == "up":
            self.upsamplers = nn.ModuleList([Resample(outs[-1], True, sep_rs)])
        self.mid = mid

    def forward(self, x, temb, ctx, skips=None):
        out = []
        for k, r in enumerate(self.resnets):
            if self.mid and k > 0:
                x = self.attentions[k - 1](x, ctx) if len(self.attentions) else x
            if skips is not None:
                x = torch.cat([x, skips.pop()], 1)
            x = r(x, temb)
            if not self.mid and len(self.attentions):
                x = self.attentions[k](x, ctx)
            out.append(x)
        if hasattr(self, "downsamplers"):
            x = self.downsamplers[0](x)
            out.append(x)
        if hasattr(self, "upsamplers"):
            x = self.upsamplers[0](x)
        return x, out


class MobileDiffusionUNet(nn.Module):
    def __init__(self, **kw):
        super().__init__()
        unknown = set(kw) - set(DEFAULTS)
        assert not unknown, unknown
        c = self.config = {**DEFAULTS, **kw}
        ch, temb = c["block_out_channels"], c["time_embed_dim"]
        n = len(ch)
        self.conv_in = nn.Conv2d(c["in_channels"], ch[0], 3, padding=1)
        self.time_embedding = TimestepEmbedding(ch[0], temb)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        skip, x = [ch[0]], ch[0]
        lv = lambda k: (c["separable"][k], c["transformer_layers"][k], c["self_attention"][k], c["cross_attention"][k], c["separable_resample"][k])
        for k in range(n):
            outs = [ch[k]] * c["layers_per_block"]
            self.down_blocks.append(Block([x] + outs[:-1], outs, c, temb, *lv(k), resample="down" if k < n - 1 else None))
            x = ch[k]
            skip += outs + ([x] if k < n - 1 else [])
        s, _, sa, ca, _ = lv(n - 1)
        self.mid_block = Block([x, x], [x, x], c, temb, s, c["mid_transformer_layers"], sa, ca, mid=True)
        assert len(skip) == n * (c["layers_per_block"] + 1)
        assert c["up_layers_per_block"] == c["layers_per_block"] + 1, "every skip is consumed once"
        for k in reversed(range(n)):
            outs = [ch[k]] * c["up_layers_per_block"]
            ins = []
            for o in outs:
                ins.append(x + skip.pop()); x = o
            self.up_blocks.append(Block(ins, outs, c, temb, *lv(k), resample="up" if k > 0 else None))
        self.conv_norm_out = nn.GroupNorm(c["norm_num_groups"], ch[0], eps=c["norm_eps"])
        self.conv_out = nn.Conv2d(ch[0], c["out_channels"], 3, padding=1)

    def forward(self, x, t, ctx):
        c = self.config
        temb = self.time_embedding(timestep_embedding(t.expand(x.shape[0]), c["block_out_channels"][0], c["flip_sin_to_cos"], c["freq_shift"]).to(x.dtype))
        temb = F.silu(temb)
        x = self.conv_in(x)
        skips = [x]
        for b in self.down_blocks:
            x, o = b(x, temb, ctx)
            skips += o
        x, _ = self.mid_block(x, temb, ctx)
        for b in self.up_blocks:
            x, _ = b(x, temb, ctx, skips)
        return self.conv_out(F.silu(self.conv_norm_out(x)))

    def init_weights(self):
        """Zeroes the last layer of every residual branch and conv_out."""
        for m in self.modules():
            if isinstance(m, ResnetBlock):
                last = m.conv2.pointwise if isinstance(m.conv2, SeparableConv) else m.conv2
                nn.init.zeros_(last.weight); nn.init.zeros_(last.bias)
            elif isinstance(m, Transformer2D):
                nn.init.zeros_(m.proj_out.weight); nn.init.zeros_(m.proj_out.bias)
        nn.init.zeros_(self.conv_out.weight); nn.init.zeros_(self.conv_out.bias)
        return self

    def save_pretrained(self, d, dtype=torch.float16):
        from safetensors.torch import save_file
        os.makedirs(d, exist_ok=True)
        json.dump(self.config, open(os.path.join(d, "config.json"), "w"), indent=2)
        save_file({k: v.detach().to("cpu", dtype).contiguous() for k, v in self.state_dict().items()},
                  os.path.join(d, "diffusion_pytorch_model.safetensors"), metadata={"format": "pt"})

    @classmethod
    def from_pretrained(cls, d):
        from safetensors.torch import load_file
        m = cls(**{k: v for k, v in json.load(open(os.path.join(d, "config.json"))).items()})
        m.load_state_dict({k: v.float() for k, v in load_file(os.path.join(d, "diffusion_pytorch_model.safetensors")).items()})
        return m.eval()


def from_preset(name, **kw):
    return MobileDiffusionUNet(**{**PRESETS[name], **kw})


def count_macs(module, *args):
    """MACs of one forward: convs, linears and attention products."""
    tot = [0]
    hooks = []

    def conv(m, i, o):
        tot[0] += o.numel() * m.in_channels // m.groups * m.kernel_size[0] * m.kernel_size[1]

    def lin(m, i, o):
        tot[0] += o.numel() * m.in_features

    def att(m, i, o):
        tot[0] += 2 * i[0].shape[0] * i[0].shape[1] * i[1].shape[1] * i[0].shape[2]
    for m in module.modules():
        if isinstance(m, nn.Conv2d):
            hooks.append(m.register_forward_hook(conv))
        elif isinstance(m, nn.Linear):
            hooks.append(m.register_forward_hook(lin))
        elif isinstance(m, Attention):
            hooks.append(m.register_forward_hook(att))
    with torch.no_grad():
        module(*args)
    for h in hooks:
        h.remove()
    return tot[0]


if __name__ == "__main__":
    import sys
    for name in sys.argv[1:] or PRESETS:
        with torch.device("meta"):  # shapes only
            m = from_preset(name).eval()
        c = m.config
        L = 77 if "mobile" in name else 32
        x = torch.randn(1, c["in_channels"], c["sample_size"], c["sample_size"], device="meta")
        macs = count_macs(m, x, torch.ones(1, device="meta"), torch.randn(1, L, c["cross_attention_dim"], device="meta"))
        tb = sum(isinstance(k, TransformerBlock) for k in m.modules())
        print(f"{name}: {sum(p.numel() for p in m.parameters())/1e6:.2f} M params, {macs/1e9:.3f} GMACs per evaluation, {tb} transformer blocks")
