
// out = (mean, sum of (x - mean)²) of each channel over each tile of consecutive pixels, by
// Welford's recurrence; see src/kernels/group_norm_stats.rs.
//
// Header: GROUP_X (quads of channels a workgroup), GROUP_Y (threads that share a tile).

struct Params {
    batch_tiles: u32, // N * tiles
    tiles: u32,       // tiles of an image
    tile_pixels: u32, // pixels of a tile; the last of an image may have fewer
    pixels: u32,      // H*W
    quads: u32,       // C / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;             // [N, H*W, C]
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // [N, tiles, 2, C]

var<workgroup> means: array<vec4<f32>, GROUP_X * GROUP_Y>; // [GROUP_Y, GROUP_X]
var<workgroup> m2s: array<vec4<f32>, GROUP_X * GROUP_Y>;   // [GROUP_Y, GROUP_X]

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn group_norm_stats(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let blocks = (params.quads + GROUP_X - 1u) / GROUP_X;
    let i = group.y * groups.x + group.x;
    let batch_tile = i / blocks;
    if batch_tile >= params.batch_tiles {
        return;
    }
    let quad = i % blocks * GROUP_X + local.x;
    let in_image = batch_tile % params.tiles * params.tile_pixels;
    let first = batch_tile / params.tiles * params.pixels + in_image;
    let count = min(params.tile_pixels, params.pixels - in_image);

    var mean = vec4<f32>();
    var m2 = vec4<f32>();
    var seen = 0.0;
    for (var p = local.y; p < count; p += GROUP_Y) {
        let v = widen(x[(first + p) * params.quads + min(quad, params.quads - 1u)]);
        seen += 1.0;
        let d = v - mean;
        mean += d / seen;
        m2 += d * (v - mean);
    }
    if GROUP_Y > 1u {
        means[local.y * GROUP_X + local.x] = mean;
        m2s[local.y * GROUP_X + local.x] = m2;
        workgroupBarrier();
        mean = vec4<f32>();
        for (var y = 0u; y < GROUP_Y; y++) {
            mean += share(count, y) / f32(count) * means[y * GROUP_X + local.x];
        }
        m2 = vec4<f32>();
        for (var y = 0u; y < GROUP_Y; y++) {
            let d = means[y * GROUP_X + local.x] - mean;
            m2 += m2s[y * GROUP_X + local.x] + share(count, y) * d * d;
        }
    }
    if local.y == 0u && quad < params.quads {
        out[batch_tile * 2u * params.quads + quad] = mean;
        out[(batch_tile * 2u + 1u) * params.quads + quad] = m2;
    }
}

// The number of a tile's pixels that thread y has read.
fn share(count: u32, y: u32) -> f32 {
    return f32((count + GROUP_Y - 1u - y) / GROUP_Y);
}
