
// out = activation(x · weight + bias + channel_add) + residual, or with a gate:
// out = (x · weight[:, :F]) * activation(x · weight[:, F:]); see src/kernels/matmul.rs.
//
// Header: ROWS, QUADS, COLUMNS, GROUP_X, GROUP_Y, SLAB (the tile), GROUP_ROWS (rows of workgroups
// along y), HAS_BIAS, HAS_CHANNEL_ADD, HAS_RESIDUAL, HAS_STEP, STEP_ROW (a position in step), GATED,
// ACTIVATION.

struct Params {
    rows: u32,          // M: rows of x and out
    segments: u32,      // 1
    segment_quads: u32, // K / 4
    weight_quads: u32,  // columns of weight / 4
    out_quads: u32,     // columns of out / 4
    rows_per_add: u32,  // rows of out that share a row, or a table, of channel_add
    add_steps: u32,     // rows of a table, of which step chooses one
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;           // [M, K]
@group(0) @binding(2) var<storage, read> weight: array<Weight4>;    // [K, N], or [K, 2 N] with a gate
@group(0) @binding(3) var<storage, read> bias: array<Real4>;        // [N] or [2 N]
@group(0) @binding(4) var<storage, read> channel_add: array<Real4>; // [1 or B, N], or [S, N] with step
@group(0) @binding(5) var<storage, read> residual: array<Real4>;    // [M, N]
@group(0) @binding(6) var<storage, read> step: array<f32>;          // [40]
@group(0) @binding(7) var<storage, read_write> out: array<Real4>;   // [M, N]

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn matmul(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    gemm(vec2(group.x, group.z * GROUP_ROWS + group.y), local.xy);
}

// The index of a row's first quad in x; negative for a row of zeros.
fn segment_start(row: u32, segment: u32) -> i32 {
    return select(-1, i32(row * params.segment_quads), row < params.rows);
}
