
// out[n, y, x] = in[n, y/2, x/2]: nearest neighbour, 2x; see src/kernels/upsample.rs.
// Header: GROUP.

struct Params {
    quads: u32,         // elements of out / 4
    channel_quads: u32, // C / 4
    in_height: u32,     // H
    in_width: u32,      // W
    out_height: u32,    // OH: 2 H, or one less
    out_width: u32,     // OW: 2 W, or one less
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;         // [N, H, W, C]
@group(0) @binding(2) var<storage, read_write> out: array<Real4>; // [N, OH, OW, C]

@compute @workgroup_size(GROUP)
fn upsample(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i < params.quads {
        let pixel = i / params.channel_quads;
        let line = pixel / params.out_width; // n * OH + y
        let column = pixel % params.out_width;
        let n = line / params.out_height;
        let y = line % params.out_height;
        let source = (n * params.in_height + y / 2u) * params.in_width + column / 2u;
        out[i] = x[source * params.channel_quads + i % params.channel_quads];
    }
}
