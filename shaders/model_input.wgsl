
// out[c * B + b] = x[b] * scale * step[INPUT_SCALE] for every copy c; see
// src/kernels/model_input.rs. Header: GROUP, HAS_STEP, INPUT_SCALE.

struct Params {
    quads: u32,    // elements of out / 4
    in_quads: u32, // elements of x / 4
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;     // [B, H, W, C]
@group(0) @binding(2) var<storage, read> step: array<f32>;        // [40]
@group(0) @binding(3) var<storage, read_write> out: array<Real4>; // [copies * B, H, W, C]

@compute @workgroup_size(GROUP)
fn model_input(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i >= params.quads {
        return;
    }
    var scale = params.scale;
    if HAS_STEP {
        scale *= step[INPUT_SCALE];
    }
    out[i] = narrow(x[i % params.in_quads] * scale);
}
