
// out[s, c] = sin or cos of timesteps[s] * ratio^i, i counting within each half of the channels;
// see src/kernels/timestep_embedding.rs. Header: GROUP, COS_FIRST.
//
// Frequencies and angles are fixed-point numbers: an f32 angle of 1000 rad is only good to 3e-5.

struct Params {
    quads: u32,         // elements of out / 4
    channel_quads: u32, // D / 4
    half: u32,          // floor(D / 2): the number of frequencies
    ratio: u32,         // of a frequency to the one before, in 2^-32
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> timesteps: array<f32>;   // [S]
@group(0) @binding(2) var<storage, read_write> out: array<Real4>; // [S, D]

@compute @workgroup_size(GROUP)
fn timestep_embedding(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * GROUP + local;
    if i >= params.quads {
        return;
    }
    let timestep = timesteps[i / params.channel_quads];
    var v = vec4<f32>();
    for (var lane = 0u; lane < 4u; lane++) {
        let channel = i % params.channel_quads * 4u + lane;
        if channel < 2u * params.half {
            let wave = sincos(angle(timestep, frequency(channel % params.half)));
            v[lane] = select(wave.x, wave.y, (channel >= params.half) != COS_FIRST);
        }
    }
    out[i] = narrow(v);
}

// ratio^i in rad per timestep, converted to 2^-32 turns: powers of the ratio by repeated squaring.
fn frequency(i: u32) -> u32 {
    var result = 0xffffffffu; // 1
    var power = params.ratio;
    for (var n = i; n > 0u; n >>= 1u) {
        if (n & 1u) != 0u {
            result = multiply_fraction(result, power);
        }
        power = multiply_fraction(power, power);
    }
    return multiply_fraction(result, 683565276u); // 2^32 / (2 pi)
}

// timestep * frequency modulo one turn: exact for the whole part, which wraps around.
fn angle(timestep: f32, frequency: u32) -> u32 {
    let whole = floor(timestep);
    return u32(whole) * frequency + u32((timestep - whole) * f32(frequency));
}
