
// out = x * scalars[index]; see src/kernels/scale.rs. Header: GROUP.

struct Params {
    quads: u32, // elements of x / 4
    index: u32, // of the factor
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;
@group(0) @binding(2) var<storage, read> scalars: array<f32>; // [n]
@group(0) @binding(3) var<storage, read_write> out: array<Real4>;

@compute @workgroup_size(GROUP)
fn scale(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i < params.quads {
        out[i] = narrow(widen(x[i]) * scalars[params.index]);
    }
}
