
// out = (γ·rstd, β − mean·γ·rstd) of each channel, with the mean and rstd of its group: one
// workgroup merges the tiles and channels of a group; see src/kernels/group_norm_merge.rs.
//
// Header: GROUP (threads, a power of two).

struct Params {
    groups: u32,
    group_channels: u32,  // C / groups
    padded_channels: u32, // C padded to a multiple of 4
    tiles: u32,           // tiles of an image
    tile_pixels: u32,     // pixels of a tile; the last of an image may have fewer
    pixels: u32,          // pixels of an image
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> stats: array<f32>;     // [N, tiles, 2, C]
@group(0) @binding(2) var<storage, read> gamma: array<Real4>;   // [C]
@group(0) @binding(3) var<storage, read> beta: array<Real4>;    // [C]
@group(0) @binding(4) var<storage, read_write> out: array<f32>; // [N, 2, C]

var<workgroup> partial: array<f32, GROUP>;

@compute @workgroup_size(GROUP)
fn group_norm_merge(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let first = group.x * params.group_channels;
    let parts = params.tiles * params.group_channels;
    let elements = f32(params.pixels) * f32(params.group_channels);

    var sum = 0.0;
    for (var i = local; i < parts; i += GROUP) {
        let tile = i / params.group_channels;
        sum += share(tile) * stats[index(group.y, tile, first + i % params.group_channels)];
    }
    let mean = total(local, sum) / elements;
    sum = 0.0;
    for (var i = local; i < parts; i += GROUP) {
        let tile = i / params.group_channels;
        let at = index(group.y, tile, first + i % params.group_channels);
        let d = stats[at] - mean;
        sum += stats[at + params.padded_channels] + share(tile) * d * d;
    }
    let rstd = inverseSqrt(total(local, sum) / elements + params.epsilon);

    // The last group also writes the padding: gamma and beta are zero there.
    let last = group.x + 1u == params.groups;
    let end = select(first + params.group_channels, params.padded_channels, last);
    for (var c = first + local; c < end; c += GROUP) {
        let scale = widen(gamma[c / 4u])[c % 4u] * rstd;
        out[group.y * 2u * params.padded_channels + c] = scale;
        out[(group.y * 2u + 1u) * params.padded_channels + c] = widen(beta[c / 4u])[c % 4u] - mean * scale;
    }
}

// The index of the mean of a tile's channel; M2 is one row later.
fn index(n: u32, tile: u32, channel: u32) -> u32 {
    return (n * params.tiles + tile) * 2u * params.padded_channels + channel;
}

// The number of pixels of a tile.
fn share(tile: u32) -> f32 {
    return f32(min(params.tile_pixels, params.pixels - tile * params.tile_pixels));
}

// The sum of v over the workgroup.
fn total(local: u32, v: f32) -> f32 {
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
