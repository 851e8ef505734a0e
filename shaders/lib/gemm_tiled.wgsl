
// The matrix product of `matmul` and `conv2d` through workgroup memory: the group loads a slab of
// SLAB quads along K for all its rows and columns, then every thread multiplies its part.
// The kernel provides x, params and segment_start (see matmul.wgsl), the weight format weight_quad.

const THREADS = GROUP_X * GROUP_Y;
const TILE_ROWS = GROUP_Y * ROWS;
const TILE_COLUMNS = GROUP_X * COLUMNS;

var<workgroup> x_tile: array<vec4<f32>, SLAB * TILE_ROWS>;           // [SLAB, TILE_ROWS]
var<workgroup> weight_tile: array<vec4<f32>, SLAB * 4u * TILE_COLUMNS>; // [SLAB*4, TILE_COLUMNS]

fn gemm(group: vec2<u32>, local: vec2<u32>) {
    let thread = local.y * GROUP_X + local.x;
    let tile_row = group.y * TILE_ROWS;
    let tile_quad = group.x * GROUP_X * QUADS;
    var sums: array<array<vec4<f32>, COLUMNS>, ROWS>;
    for (var segment = 0u; segment < params.segments; segment++) {
        for (var q0 = 0u; q0 < params.segment_quads; q0 += SLAB) {
            load_x(thread, tile_row, segment, q0);
            load_weight(thread, tile_quad, segment, q0);
            workgroupBarrier();
            for (var q = 0u; q < SLAB; q++) {
                var a: array<vec4<f32>, ROWS>;
                for (var r = 0u; r < ROWS; r++) {
                    a[r] = x_tile[q * TILE_ROWS + local.y * ROWS + r];
                }
                for (var c = 0u; c < COLUMNS; c++) {
                    let w = q * 4u * TILE_COLUMNS + c * GROUP_X + local.x;
                    let w0 = weight_tile[w];
                    let w1 = weight_tile[w + TILE_COLUMNS];
                    let w2 = weight_tile[w + 2u * TILE_COLUMNS];
                    let w3 = weight_tile[w + 3u * TILE_COLUMNS];
                    for (var r = 0u; r < ROWS; r++) {
                        sums[r][c] += a[r].x * w0 + a[r].y * w1 + a[r].z * w2 + a[r].w * w3;
                    }
                }
            }
            workgroupBarrier();
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        for (var c = 0u; c < QUADS; c++) {
            let row = tile_row + local.y * ROWS + r;
            let quad = tile_quad + c * GROUP_X + local.x;
            if row < params.rows && quad < params.out_quads {
                finish(row, quad, sums[r][c], sums[r][COLUMNS - QUADS + c]);
            }
        }
    }
}

fn load_x(thread: u32, tile_row: u32, segment: u32, q0: u32) {
    for (var i = thread; i < SLAB * TILE_ROWS; i += THREADS) {
        let q = q0 + i % SLAB;
        let row = i / SLAB;
        let start = segment_start(tile_row + row, segment);
        var v = vec4<f32>();
        if start >= 0 && q < params.segment_quads {
            v = widen(x[u32(start) + q]);
        }
        x_tile[i % SLAB * TILE_ROWS + row] = v;
    }
}

fn load_weight(thread: u32, tile_quad: u32, segment: u32, q0: u32) {
    for (var i = thread; i < SLAB * 4u * TILE_COLUMNS; i += THREADS) {
        let column = i % TILE_COLUMNS;
        let gate = column / (GROUP_X * QUADS);
        let quad = tile_quad + column % (GROUP_X * QUADS);
        let k = q0 * 4u + i / TILE_COLUMNS;
        var v = vec4<f32>();
        if quad < params.out_quads && k < params.segment_quads * 4u {
            let row = segment * params.segment_quads * 4u + k;
            v = weight_quad(row * params.weight_quads + gate * params.out_quads + quad);
        }
        weight_tile[i] = v;
    }
}
