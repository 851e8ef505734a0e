
// out = (x − mean) / √(variance + ε) · γ + β over each row; see src/kernels/layer_norm.rs.
//
// Header: LANES (threads that share a row, a power of two), ROWS (rows of a workgroup).

struct Params {
    rows: u32,
    channels: u32, // D
    quads: u32,    // D / 4
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;         // [rows, D]
@group(0) @binding(2) var<storage, read> gamma: array<Real4>;     // [D]
@group(0) @binding(3) var<storage, read> beta: array<Real4>;      // [D]
@group(0) @binding(4) var<storage, read_write> out: array<Real4>; // [rows, D]

var<workgroup> partial: array<f32, LANES * ROWS>; // [ROWS, LANES]

@compute @workgroup_size(LANES, ROWS)
fn layer_norm(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let row = (group.y * groups.x + group.x) * ROWS + local.y;
    let start = min(row, params.rows - 1u) * params.quads;

    var sum = vec4<f32>();
    for (var q = local.x; q < params.quads; q += LANES) {
        sum += widen(x[start + q]);
    }
    let mean = total(local.xy, sum) / f32(params.channels);
    sum = vec4<f32>();
    for (var q = local.x; q < params.quads; q += LANES) {
        let d = widen(x[start + q]) - mean;
        let inside = vec4(0u, 1u, 2u, 3u) + q * 4u < vec4(params.channels);
        sum += select(vec4(0.0), d * d, inside);
    }
    let rstd = inverseSqrt(total(local.xy, sum) / f32(params.channels) + params.epsilon);

    if row < params.rows {
        // Padding becomes zero: gamma and beta are zero there.
        for (var q = local.x; q < params.quads; q += LANES) {
            let unit = (widen(x[start + q]) - mean) * rstd;
            out[start + q] = narrow(unit * widen(gamma[q]) + widen(beta[q]));
        }
    }
}

// The sum of v over its elements and the threads of a row.
fn total(local: vec2<u32>, v: vec4<f32>) -> f32 {
    let own = dot(v, vec4(1.0));
    if LANES == 1u {
        return own;
    }
    let row = local.y * LANES;
    partial[row + local.x] = own;
    for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if local.x < stride {
            partial[row + local.x] += partial[row + local.x + stride];
        }
    }
    workgroupBarrier();
    let sum = partial[row];
    workgroupBarrier();
    return sum;
}
