
// One step of a sampler for every element: the next sample, then the history, whose slots receive
// the tensors that `step` names, then the predicted image; see src/kernels/scheduler_step.rs. Operands
// with the coefficient zero are not read.
//
// Header: GROUP, GUIDED, RESCALED, SLOTS, positions in step (GUIDANCE, CLIP, ORIGINAL, ORIGINAL_OUTPUT, SAMPLE,
// OUTPUT, FROM_ORIGINAL, NOISE, HISTORY, KEEP, EPSILON, EPSILON_OUTPUT, UNCONDITIONAL) and the numbers
// at KEEP (KEEP_SAMPLE, KEEP_OUTPUT, KEEP_ORIGINAL, KEEP_EPSILON).

struct Params {
    quads: u32,      // elements of sample / 4
    item_quads: u32, // those of one item
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sample: array<vec4<f32>>;    // [B, H, W, C]
@group(0) @binding(2) var<storage, read> history: array<vec4<f32>>;   // [5 B, H, W, C]
@group(0) @binding(3) var<storage, read> output: array<Real4>;        // [1 or 2 B, H, W, C]
@group(0) @binding(4) var<storage, read> noise: array<vec4<f32>>;     // [B, H, W, C]
@group(0) @binding(5) var<storage, read> step: array<f32>;            // [40]
@group(0) @binding(6) var<storage, read> rescale: array<vec4<f32>>;   // [B, 1]
@group(0) @binding(7) var<storage, read_write> out: array<vec4<f32>>; // [7 B, H, W, C]

@compute @workgroup_size(GROUP)
fn scheduler_step(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i >= params.quads {
        return;
    }
    let x = sample[i];
    let unconditional = widen(output[i]); // with guidance; else the only one
    var m = unconditional;
    if GUIDED {
        m += step[GUIDANCE] * (widen(output[params.quads + i]) - m);
        if RESCALED {
            m *= rescale[i / params.item_quads].x;
        }
    }
    var original = step[ORIGINAL] * x + step[ORIGINAL_OUTPUT] * m;
    if step[CLIP] > 0.0 {
        original = clamp(original, vec4(-step[CLIP]), vec4(step[CLIP]));
    }
    var next = step[SAMPLE] * x + step[OUTPUT] * m + step[FROM_ORIGINAL] * original;
    if step[NOISE] != 0.0 {
        next += step[NOISE] * noise[i];
    }
    if step[UNCONDITIONAL] != 0.0 {
        next += step[UNCONDITIONAL] * unconditional;
    }
    for (var k = 0u; k < SLOTS; k++) {
        var kept = history[k * params.quads + i];
        if step[HISTORY + k] != 0.0 {
            next += step[HISTORY + k] * kept;
        }
        switch u32(step[KEEP + k]) {
            case KEEP_SAMPLE: { kept = x; }
            case KEEP_OUTPUT: { kept = m; }
            case KEEP_ORIGINAL: { kept = original; }
            case KEEP_EPSILON: { kept = step[EPSILON] * x + step[EPSILON_OUTPUT] * m; }
            default: {}
        }
        out[(k + 1u) * params.quads + i] = kept;
    }
    out[i] = next;
    out[(SLOTS + 1u) * params.quads + i] = original;
}
