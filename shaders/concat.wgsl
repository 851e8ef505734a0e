
// out = a and b side by side along the channels; see src/kernels/concat.rs. Header: GROUP.

struct Params {
    quads: u32,   // elements of out / 4
    a_quads: u32, // Ca / 4
    b_quads: u32, // Cb / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Real4>;         // [..., Ca]
@group(0) @binding(2) var<storage, read> b: array<Real4>;         // [..., Cb]
@group(0) @binding(3) var<storage, read_write> out: array<Real4>; // [..., Ca + Cb]

@compute @workgroup_size(GROUP)
fn concat(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i >= params.quads {
        return;
    }
    let row = i / (params.a_quads + params.b_quads);
    let quad = i % (params.a_quads + params.b_quads);
    if quad < params.a_quads {
        out[i] = a[row * params.a_quads + quad];
    } else {
        out[i] = b[row * params.b_quads + quad - params.a_quads];
    }
}
