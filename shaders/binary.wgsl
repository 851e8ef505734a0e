
// out = a + b or a * b, b broadcast over rows; see src/kernels/binary.rs. Header: GROUP, MULTIPLY.

struct Params {
    quads: u32,         // elements of a / 4
    channel_quads: u32, // C / 4
    rows_per_b: u32,    // rows of a that share a row of b
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Real4>;         // [..., C]
@group(0) @binding(2) var<storage, read> b: array<Real4>;         // [1 or B, C], or as a
@group(0) @binding(3) var<storage, read_write> out: array<Real4>; // [..., C]

@compute @workgroup_size(GROUP)
fn binary(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i < params.quads {
        let b_row = i / params.channel_quads / params.rows_per_b;
        let left = widen(a[i]);
        let right = widen(b[b_row * params.channel_quads + i % params.channel_quads]);
        out[i] = narrow(select(left + right, left * right, MULTIPLY));
    }
}
