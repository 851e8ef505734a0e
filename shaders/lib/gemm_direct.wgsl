
// The matrix product of `matmul` and `conv2d` without workgroup memory: every thread reads its
// operands from memory, which suits GPUs with a texture cache (Adreno) and CPU drivers.
// The kernel provides x, params and segment_start (see matmul.wgsl), the weight format weight_quad.

// Sums of a tile of ROWS rows by QUADS quads a thread (twice as many where a gate belongs to them).
fn gemm(group: vec2<u32>, local: vec2<u32>) {
    let row0 = (group.y * GROUP_Y + local.y) * ROWS;
    let quad0 = group.x * GROUP_X * QUADS + local.x;
    var columns: array<u32, COLUMNS>;
    for (var c = 0u; c < COLUMNS; c++) {
        let gate = c / QUADS;
        columns[c] = min(quad0 + c % QUADS * GROUP_X, params.out_quads - 1u) + gate * params.out_quads;
    }
    var starts: array<i32, ROWS>;
    var a: array<vec4<f32>, ROWS>;
    var sums: array<array<vec4<f32>, COLUMNS>, ROWS>;
    for (var segment = 0u; segment < params.segments; segment++) {
        for (var r = 0u; r < ROWS; r++) {
            starts[r] = segment_start(row0 + r, segment);
        }
        for (var q = 0u; q < params.segment_quads; q++) {
            for (var r = 0u; r < ROWS; r++) {
                let loaded = widen(x[u32(max(starts[r], 0)) + q]);
                a[r] = select(vec4(0.0), loaded, starts[r] >= 0);
            }
            let k = (segment * params.segment_quads + q) * 4u * params.weight_quads;
            for (var c = 0u; c < COLUMNS; c++) {
                let w0 = weight_quad(k + columns[c]);
                let w1 = weight_quad(k + params.weight_quads + columns[c]);
                let w2 = weight_quad(k + 2u * params.weight_quads + columns[c]);
                let w3 = weight_quad(k + 3u * params.weight_quads + columns[c]);
                for (var r = 0u; r < ROWS; r++) {
                    sums[r][c] += a[r].x * w0 + a[r].y * w1 + a[r].z * w2 + a[r].w * w3;
                }
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        for (var c = 0u; c < QUADS; c++) {
            let row = row0 + r;
            let quad = quad0 + c * GROUP_X;
            if row < params.rows && quad < params.out_quads {
                finish(row, quad, sums[r][c], sums[r][COLUMNS - QUADS + c]);
            }
        }
    }
}
