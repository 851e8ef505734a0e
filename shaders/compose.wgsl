// The unconditional outputs u, then u + the sum over the prompts of weight * (output - u); see
// src/kernels/compose.rs. Header: GROUP.

struct Params {
    quads: u32,   // elements of the unconditional outputs / 4
    prompts: u32, // n
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> outputs: array<Real4>;   // [(1 + n) B, H, W, C]
@group(0) @binding(2) var<storage, read> weights: array<f32>;     // [n]
@group(0) @binding(3) var<storage, read_write> out: array<Real4>; // [2 B, H, W, C]

@compute @workgroup_size(GROUP)
fn compose(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i >= params.quads {
        return;
    }
    let base = widen(outputs[i]);
    var composed = base;
    for (var k = 0u; k < params.prompts; k++) {
        composed += weights[k] * (widen(outputs[(k + 1u) * params.quads + i]) - base);
    }
    out[i] = outputs[i];
    out[params.quads + i] = narrow(composed);
}
