// out = (1 - mask) * (step[NEXT_SIGNAL] * image + step[NEXT_LEVEL] * noise) + mask * sample, and
// exactly one side where the mask is 0 or 1; see src/kernels/blend.rs. Header: GROUP, NEXT_SIGNAL,
// NEXT_LEVEL.

struct Params {
    quads: u32,       // elements of out / 4
    row_quads: u32,   // C / 4
    mask_pixels: u32, // pixels of mask
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sample: array<vec4<f32>>;    // [n * B, H, W, C], the first B
@group(0) @binding(2) var<storage, read> image: array<vec4<f32>>;     // [B, H, W, C]
@group(0) @binding(3) var<storage, read> noise: array<vec4<f32>>;     // [B, H, W, C]
@group(0) @binding(4) var<storage, read> mask: array<vec4<f32>>;      // [1 or B, H, W, 1]
@group(0) @binding(5) var<storage, read> step: array<f32>;            // [40]
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>; // [B, H, W, C]

@compute @workgroup_size(GROUP)
fn blend(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i >= params.quads {
        return;
    }
    let m = mask[i / params.row_quads % params.mask_pixels].x;
    let kept = step[NEXT_SIGNAL] * image[i] + step[NEXT_LEVEL] * noise[i];
    let mixed = (1.0 - m) * kept + m * sample[i];
    out[i] = select(select(mixed, sample[i], m == 1.0), kept, m == 0.0);
}
