
// out = x[:F] * f(x[F:]), row by row; see src/kernels/gate.rs. Header: GROUP, ACTIVATION.

struct Params {
    quads: u32,     // elements of out / 4
    out_quads: u32, // F / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;         // [..., 2 F]
@group(0) @binding(2) var<storage, read_write> out: array<Real4>; // [..., F]

@compute @workgroup_size(GROUP)
fn gate(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i < params.quads {
        let value = i + i / params.out_quads * params.out_quads;
        out[i] = narrow(widen(x[value]) * activate(widen(x[value + params.out_quads])));
    }
}
