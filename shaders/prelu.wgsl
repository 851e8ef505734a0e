// out = max(x, 0) + slope * min(x, 0); see src/kernels/prelu.rs. Header: GROUP.

struct Params {
    quads: u32,         // elements / 4
    channel_quads: u32, // C / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;         // [..., C]
@group(0) @binding(2) var<storage, read> slope: array<Real4>;     // [C]
@group(0) @binding(3) var<storage, read_write> out: array<Real4>; // [..., C]

@compute @workgroup_size(GROUP)
fn prelu(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i < params.quads {
        let value = widen(x[i]);
        let factor = widen(slope[i % params.channel_quads]);
        out[i] = narrow(max(value, vec4(0.0)) + factor * min(value, vec4(0.0)));
    }
}

