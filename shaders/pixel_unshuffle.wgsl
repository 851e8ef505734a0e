// out[n, y, x, r*r*c + r*i + j] = in[n, r*y + i, r*x + j, c]; see src/kernels/pixel_unshuffle.rs.
// Header: GROUP.

struct Params {
    quads: u32,         // elements of out / 4
    channels: u32,      // r*r*C
    channel_quads: u32, // r*r*C / 4
    x_quads: u32,       // C / 4
    width: u32,         // W
    factor: u32,        // r
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;         // [N, H, W, C]
@group(0) @binding(2) var<storage, read_write> out: array<Real4>; // [N, H/r, W/r, r*r*C]

@compute @workgroup_size(GROUP)
fn pixel_unshuffle(
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
    let column = pixel % (params.width / r) * r;
    let line = pixel / (params.width / r) * r; // n * H + r * y
    var v = vec4(0.0);
    for (var lane = 0u; lane < 4u; lane++) {
        let to = 4u * quad + lane;
        if to < params.channels {
            let channel = to / (r * r);
            let source = (line + to / r % r) * params.width + column + to % r;
            v[lane] = widen(x[source * params.x_quads + channel / 4u])[channel % 4u];
        }
    }
    out[index] = narrow(v);
}

