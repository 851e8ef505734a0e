
// Depthwise convolution: every channel with its own KH x KW filter; see src/kernels/depthwise.rs.
// Header: GROUP, HAS_BIAS.

struct Params {
    quads: u32,         // elements of out / 4
    channel_quads: u32, // C / 4
    in_height: u32,
    in_width: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride: u32,
    pad_top: u32,
    pad_left: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real4>;         // [N, H, W, C]
@group(0) @binding(2) var<storage, read> weight: array<Weight4>;  // [KH, KW, C]
@group(0) @binding(3) var<storage, read> bias: array<Real4>;      // [C]
@group(0) @binding(4) var<storage, read_write> out: array<Real4>; // [N, OH, OW, C]

@compute @workgroup_size(GROUP)
fn depthwise(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i >= params.quads {
        return;
    }
    let quad = i % params.channel_quads;
    let pixel = i / params.channel_quads;
    let n = pixel / (params.out_width * params.out_height);
    // A coordinate left of or above the image wraps to a huge one.
    let top = pixel / params.out_width % params.out_height * params.stride - params.pad_top;
    let left = pixel % params.out_width * params.stride - params.pad_left;
    var sum = vec4<f32>();
    for (var down = 0u; down < params.kernel_height; down++) {
        for (var across = 0u; across < params.kernel_width; across++) {
            let in_y = top + down;
            let in_x = left + across;
            if in_y < params.in_height && in_x < params.in_width {
                let source = (n * params.in_height + in_y) * params.in_width + in_x;
                let tap = down * params.kernel_width + across;
                sum += widen(x[source * params.channel_quads + quad])
                    * weight_quad(tap * params.channel_quads + quad);
            }
        }
    }
    if HAS_BIAS {
        sum += widen(bias[quad]);
    }
    out[i] = narrow(sum);
}
