
// out = softmax(q·kᵀ/√d)·v for every head, or relu(q·kᵀ/√d)/Tk·v; see src/kernels/attention.rs.
// LANES threads share a row of queries; thread l has the head's quads l, l + LANES, … of the query
// and of the sums.
//
// Header: HEAD_QUADS (d / 4), GROUP (threads), ROWS = GROUP / LANES, LANES, SLICE (quads a thread),
// KEYS (scored at a time), STAGED (whether k and v pass through workgroup memory), STAGED_QUADS,
// SHARED_QUADS (sizes of the workgroup memory), CAUSAL, SOFTMAX.

struct Params {
    queries: u32,         // Tq
    keys: u32,            // Tk
    row_quads: u32,       // h*d / 4
    key_batch_quads: u32, // from one batch item of k to the next, in quads; 0 if all share one
    scale: f32,           // 1/√d, times log2(e) for exp2
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Real4>;         // [B, Tq, h*d]
@group(0) @binding(2) var<storage, read> k: array<Real4>;         // [B or 1, Tk, h*d]
@group(0) @binding(3) var<storage, read> v: array<Real4>;         // [B or 1, Tk, h*d]
@group(0) @binding(4) var<storage, read_write> out: array<Real4>; // [B, Tq, h*d]

const PITCH = SLICE * LANES;
const KEY_QUADS = KEYS / 4u;
const LOWEST = -1e30; // below every score
const OF_KEYS = false;
const OF_VALUES = true;

var<workgroup> staged: array<vec4<f32>, STAGED_QUADS>; // [KEYS, PITCH] of k, then of v
var<workgroup> shared_scores: array<vec4<f32>, SHARED_QUADS>; // [KEY_QUADS, GROUP]

@compute @workgroup_size(GROUP)
fn attention(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = local % LANES;
    let row = group.x * ROWS + local / LANES;
    let head = group.y * HEAD_QUADS;
    let q_start = (group.z * params.queries + min(row, params.queries - 1u)) * params.row_quads + head;
    let k_start = group.z * params.key_batch_quads + head;
    var limit = params.keys;   // keys that some row of the workgroup sees
    var visible = params.keys; // keys that this row sees
    if CAUSAL {
        limit = min(limit, (group.x + 1u) * ROWS);
        visible = min(visible, row + 1u);
    }
    var query: array<vec4<f32>, SLICE>;
    var sums: array<vec4<f32>, SLICE>;
    for (var i = 0u; i < SLICE; i++) {
        let quad = i * LANES + lane;
        let loaded = params.scale * widen(q[q_start + min(quad, HEAD_QUADS - 1u)]);
        query[i] = select(vec4(0.0), loaded, quad < HEAD_QUADS);
    }
    var maximum = LOWEST;
    var total = select(f32(params.keys), 0.0, SOFTMAX);

    for (var first = 0u; first < limit; first += KEYS) {
        stage(OF_KEYS, k_start, first, local);
        sync();
        var scores: array<vec4<f32>, KEY_QUADS>;
        for (var j = 0u; j < KEY_QUADS; j++) {
            var s = vec4<f32>();
            for (var i = 0u; i < SLICE; i++) {
                let quad = i * LANES + lane;
                s.x += dot(query[i], take(OF_KEYS, k_start, first, j * 4u, quad));
                s.y += dot(query[i], take(OF_KEYS, k_start, first, j * 4u + 1u, quad));
                s.z += dot(query[i], take(OF_KEYS, k_start, first, j * 4u + 2u, quad));
                s.w += dot(query[i], take(OF_KEYS, k_start, first, j * 4u + 3u, quad));
            }
            scores[j] = s;
            if LANES > 1u {
                shared_scores[j * GROUP + local] = s;
            }
        }
        sync();
        stage(OF_VALUES, k_start, first, local);
        var peak = maximum;
        for (var j = 0u; j < KEY_QUADS; j++) {
            var s = scores[j];
            if LANES > 1u {
                s = vec4<f32>();
                for (var i = 0u; i < LANES; i++) {
                    s += shared_scores[j * GROUP + local - lane + i];
                }
            }
            let key = vec4(0u, 1u, 2u, 3u) + first + j * 4u;
            s = select(vec4(LOWEST), s, key < vec4(visible));
            scores[j] = s;
            peak = max(peak, max(max(s.x, s.y), max(s.z, s.w)));
        }
        if SOFTMAX {
            let shrink = exp2(maximum - peak);
            maximum = peak;
            total *= shrink;
            for (var i = 0u; i < SLICE; i++) {
                sums[i] *= shrink;
            }
        }
        sync();
        for (var j = 0u; j < KEY_QUADS; j++) {
            var weight = max(scores[j], vec4(0.0));
            if SOFTMAX {
                weight = exp2(scores[j] - maximum);
                total += dot(weight, vec4(1.0));
            }
            for (var i = 0u; i < SLICE; i++) {
                let quad = i * LANES + lane;
                sums[i] += weight.x * take(OF_VALUES, k_start, first, j * 4u, quad)
                    + weight.y * take(OF_VALUES, k_start, first, j * 4u + 1u, quad)
                    + weight.z * take(OF_VALUES, k_start, first, j * 4u + 2u, quad)
                    + weight.w * take(OF_VALUES, k_start, first, j * 4u + 3u, quad);
            }
        }
        sync();
    }
    for (var i = 0u; i < SLICE; i++) {
        let quad = i * LANES + lane;
        if row < params.queries && quad < HEAD_QUADS {
            out[q_start + quad] = narrow(sums[i] / total);
        }
    }
}

// A quad of a key or value in memory. Past the end it is that of the last, whose weight is zero.
fn fetch(of_values: bool, start: u32, key: u32, quad: u32) -> vec4<f32> {
    let at = start + min(key, params.keys - 1u) * params.row_quads + min(quad, HEAD_QUADS - 1u);
    if of_values {
        return widen(v[at]);
    }
    return widen(k[at]);
}

// Brings KEYS keys or values from the first on into workgroup memory.
fn stage(of_values: bool, start: u32, first: u32, local: u32) {
    if STAGED {
        for (var i = local; i < KEYS * PITCH; i += GROUP) {
            staged[i] = fetch(of_values, start, first + i / PITCH, i % PITCH);
        }
    }
}

// A quad of the key or value first + key, from workgroup memory or from memory.
fn take(of_values: bool, start: u32, first: u32, key: u32, quad: u32) -> vec4<f32> {
    if STAGED {
        return staged[key * PITCH + quad];
    }
    return fetch(of_values, start, first + key, quad);
}

// A barrier, where workgroup memory is used.
fn sync() {
    if STAGED || LANES > 1u {
        workgroupBarrier();
    }
}
