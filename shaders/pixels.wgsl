
// RGBA8 pixels, red in the low byte: round(clamp(x / 2 + 1/2, 0, 1) * 255); see
// src/kernels/pixels.rs. Header: GROUP.

struct Params {
    elements: u32,    // B * pitch
    pitch: u32,       // pixels of an image, padded to a multiple of 4
    pixels: u32,      // H * W
    image_quads: u32, // C / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> image: array<Real4>;   // [B, H, W, C]
@group(0) @binding(2) var<storage, read_write> out: array<u32>; // [B, H*W]

@compute @workgroup_size(GROUP)
fn pixels(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i >= params.elements {
        return;
    }
    let pixel = i % params.pitch;
    var rgba = 0u;
    if pixel < params.pixels {
        let source = i / params.pitch * params.pixels + pixel;
        let x = widen(image[source * params.image_quads]);
        let bytes = vec4<u32>(round(clamp(0.5 * x + 0.5, vec4(0.0), vec4(1.0)) * 255.0));
        rgba = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | 0xff000000u;
    }
    out[i] = rgba;
}
