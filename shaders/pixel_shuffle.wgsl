// out[n, r*y + i, r*x + j, c] = in[n, y, x, r*r*c + r*i + j] + base[n, y, x, c]; see
// src/kernels/pixel_shuffle.rs. Header: GROUP, HAS_BASE.

struct Params {
    quads: u32,         // elements of out / 4
    channels: u32,      // C
    channel_quads: u32, // C / 4
    x_quads: u32,       // r*r*C / 4
    width: u32,         // W
    factor: u32,        // r
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;         // [N, H, W, r*r*C]
@group(0) @binding(2) var<storage, read> base: array<Real4>;      // [N, H, W, C]
@group(0) @binding(3) var<storage, read_write> out: array<Real4>; // [N, r*H, r*W, C]

@compute @workgroup_size(GROUP)
fn pixel_shuffle(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (group.y * groups.x + group.x) * GROUP + local;
    if index >= params.quads {
        return;
    }
    let r = params.factor;
    let quad = index % params.channel_quads;
    let pixel = index / params.channel_quads;
    let column = pixel % (r * params.width);
    let line = pixel / (r * params.width); // n * r * H + r * y + i, so that line / r is n * H + y
    let source = line / r * params.width + column / r;
    var v = vec4(0.0);
    for (var lane = 0u; lane < 4u; lane++) {
        let channel = 4u * quad + lane;
        if channel < params.channels {
            let place = (channel * r + line % r) * r + column % r;
            v[lane] = widen(x[source * params.x_quads + place / 4u])[place % 4u];
        }
    }
    if HAS_BASE {
        v += widen(base[source * params.channel_quads + quad]);
    }
    out[index] = narrow(v);
}

