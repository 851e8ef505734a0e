
// out = row number step[ROW] of x; see src/kernels/row.rs. Header: GROUP, ROW.

struct Params {
    rows: u32,  // S
    quads: u32, // C / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;         // [S, C]
@group(0) @binding(2) var<storage, read> step: array<f32>;        // [32]
@group(0) @binding(3) var<storage, read_write> out: array<Real4>; // [1, C]

@compute @workgroup_size(GROUP)
fn row(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i < params.quads {
        out[i] = x[min(u32(step[ROW]), params.rows - 1u) * params.quads + i];
    }
}
