
// out[n, y, x] = in[n, y/2, x/2]: nearest neighbour, 2x; see src/kernels/upsample.rs.
// Header: GROUP.

struct Params {
    quads: u32,         // elements of out / 4
    channel_quads: u32, // C / 4
    in_width: u32,      // W
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;         // [N, H, W, C]
@group(0) @binding(2) var<storage, read_write> out: array<Real4>; // [N, 2 H, 2 W, C]

@compute @workgroup_size(GROUP)
fn upsample(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i < params.quads {
        let pixel = i / params.channel_quads;
        let line = pixel / (2u * params.in_width); // n * 2H + y
        let column = pixel % (2u * params.in_width);
        let source = line / 2u * params.in_width + column / 2u;
        out[i] = x[source * params.channel_quads + i % params.channel_quads];
    }
}
