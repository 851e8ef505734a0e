
// out[b] = row number step[ROW] of x[b]; see src/kernels/row.rs. Header: GROUP, ROW.

struct Params {
    rows: u32,      // S
    quads: u32,     // C / 4
    out_quads: u32, // B * C / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;         // [B, S, C]
@group(0) @binding(2) var<storage, read> step: array<f32>;        // [40]
@group(0) @binding(3) var<storage, read_write> out: array<Real4>; // [B, C]

@compute @workgroup_size(GROUP)
fn row(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i < params.out_quads {
        let row = i / params.quads * params.rows + min(u32(step[ROW]), params.rows - 1u);
        out[i] = x[row * params.quads + i % params.quads];
    }
}
