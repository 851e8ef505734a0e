
// out = activation(x·scale + shift), scale and shift per image and channel; see
// src/kernels/group_norm.rs. Padding stays zero: scale and shift are zero there.
//
// Header: GROUP, ACTIVATION.

struct Params {
    quads: u32,       // N*H*W * C / 4
    row_quads: u32,   // C / 4
    image_quads: u32, // H*W * C / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;               // [N, H*W, C]
@group(0) @binding(2) var<storage, read> scale_shift: array<vec4<f32>>; // [N, 2, C]
@group(0) @binding(3) var<storage, read_write> out: array<Real4>;       // [N, H*W, C]

@compute @workgroup_size(GROUP)
fn group_norm(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i < params.quads {
        let at = i / params.image_quads * 2u * params.row_quads + i % params.row_quads;
        out[i] = narrow(activate(widen(x[i]) * scale_shift[at] + scale_shift[at + params.row_quads]));
    }
}
