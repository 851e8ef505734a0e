
// Two-dimensional convolution as an implicit matrix product: a row is an output pixel, the K axis
// runs over kernel taps (a segment each) and input channels; see src/kernels/conv2d.rs.
//
// Header: ROWS, QUADS, COLUMNS, GROUP_X, GROUP_Y, SLAB (the tile), GROUP_ROWS (rows of workgroups
// along y), HAS_BIAS, HAS_CHANNEL_ADD, HAS_RESIDUAL, HAS_STEP, STEP_ROW (a position in step), GATED,
// ACTIVATION.

struct Params {
    rows: u32,          // N*OH*OW: output pixels
    segments: u32,      // KH*KW
    segment_quads: u32, // input channels / 4
    weight_quads: u32,  // output channels / 4
    out_quads: u32,     // output channels / 4
    rows_per_add: u32,  // output pixels that share a row, or a table, of channel_add
    add_steps: u32,     // rows of a table, of which step chooses one
    in_height: u32,     // of the convolved image: H, or upsampled 2 H or 2 H - 1
    in_width: u32,
    x_height: u32,      // H
    x_width: u32,       // W
    out_height: u32,
    out_width: u32,
    kernel_width: u32,
    stride: u32,
    pad_top: u32,
    pad_left: u32,
    halve: u32,         // 1: x is read as if upsampled 2x (nearest), else 0
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;           // [N, H, W, I]
@group(0) @binding(2) var<storage, read> weight: array<Weight4>;    // [KH, KW, I, O]
@group(0) @binding(3) var<storage, read> bias: array<Real4>;        // [O]
@group(0) @binding(4) var<storage, read> channel_add: array<Real4>; // [1 or N, O], or [S, O] with step
@group(0) @binding(5) var<storage, read> residual: array<Real4>;    // [N, OH, OW, O]
@group(0) @binding(6) var<storage, read> step: array<f32>;          // [40]
@group(0) @binding(7) var<storage, read_write> out: array<Real4>;   // [N, OH, OW, O]

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn conv2d(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    gemm(vec2(group.x, group.z * GROUP_ROWS + group.y), local.xy);
}

// The index of the first quad in x of a pixel's operand for one tap; negative in the padding.
fn segment_start(row: u32, segment: u32) -> i32 {
    let out_x = row % params.out_width;
    let out_y = row / params.out_width % params.out_height;
    let n = row / (params.out_width * params.out_height);
    let y = i32(out_y * params.stride + segment / params.kernel_width) - i32(params.pad_top);
    let x = i32(out_x * params.stride + segment % params.kernel_width) - i32(params.pad_left);
    if row >= params.rows || y < 0 || x < 0 || y >= i32(params.in_height) || x >= i32(params.in_width) {
        return -1;
    }
    let x_row = (n * params.x_height + (u32(y) >> params.halve)) * params.x_width;
    return i32((x_row + (u32(x) >> params.halve)) * params.segment_quads);
}
