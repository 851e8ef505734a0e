// out = a + scale * b; see src/kernels/scaled_add.rs. Header: GROUP.

struct Params {
    quads: u32, // elements / 4
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Real4>;         // any shape
@group(0) @binding(2) var<storage, read> b: array<Real4>;         // the same shape
@group(0) @binding(3) var<storage, read_write> out: array<Real4>; // the same shape

@compute @workgroup_size(GROUP)
fn scaled_add(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i < params.quads {
        out[i] = narrow(widen(a[i]) + params.scale * widen(b[i]));
    }
}

