
// out[b] = rescale * deviation(c) / deviation(m) + 1 − rescale, over all elements of item b; see
// src/kernels/guidance_rescale.rs.
//
// Header: GROUP (threads that share an item, a power of two), positions in step (GUIDANCE, RESCALE).

struct Params {
    batch: u32,     // B
    quads: u32,     // elements of an item / 4
    row_quads: u32, // C / 4
    channels: u32,  // C
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> output: array<Real4>;        // [2 B, H, W, C]
@group(0) @binding(2) var<storage, read> step: array<f32>;            // [40]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [B, 1]

var<workgroup> partial: array<vec2<f32>, GROUP>;

@compute @workgroup_size(GROUP)
fn guidance_rescale(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    var sums = vec2<f32>(); // of c and of m
    for (var q = local; q < params.quads; q += GROUP) {
        let v = outputs(group.x, q);
        sums += vec2(dot(v[0], vec4(1.0)), dot(v[1], vec4(1.0)));
    }
    let count = f32(params.quads / params.row_quads * params.channels);
    let mean = total(local, sums) / count;
    sums = vec2<f32>();
    for (var q = local; q < params.quads; q += GROUP) {
        let v = outputs(group.x, q);
        let inside = vec4(0u, 1u, 2u, 3u) + q % params.row_quads * 4u < vec4(params.channels);
        let c = select(vec4(0.0), v[0] - mean.x, inside);
        let m = select(vec4(0.0), v[1] - mean.y, inside);
        sums += vec2(dot(c, c), dot(m, m));
    }
    let squares = total(local, sums);
    if local == 0u {
        let ratio = select(1.0, sqrt(squares.x / squares.y), squares.y > 0.0);
        out[group.x] = vec4(step[RESCALE] * ratio + 1.0 - step[RESCALE], 0.0, 0.0, 0.0);
    }
}

// The conditional and the guided output at a quad of an item.
fn outputs(item: u32, quad: u32) -> array<vec4<f32>, 2> {
    let u = widen(output[item * params.quads + quad]);
    let c = widen(output[(params.batch + item) * params.quads + quad]);
    return array(c, u + step[GUIDANCE] * (c - u));
}

// The sum of v over the threads of an item.
fn total(local: u32, v: vec2<f32>) -> vec2<f32> {
    partial[local] = v;
    for (var stride = GROUP / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if local < stride {
            partial[local] += partial[local + stride];
        }
    }
    workgroupBarrier();
    let sum = partial[0];
    workgroupBarrier();
    return sum;
}
