
// The epilogue of a product: bias, per-channel add (the time embedding), activation or gate, and
// residual are applied to a finished sum before it is stored. The kernel binds bias, channel_add,
// residual, step and out; absent operands are never read.

fn finish(row: u32, quad: u32, sum: vec4<f32>, gate_sum: vec4<f32>) {
    var v = sum;
    var gate = gate_sum;
    if HAS_BIAS {
        v += widen(bias[quad]);
        if GATED {
            gate += widen(bias[params.out_quads + quad]);
        }
    }
    if HAS_CHANNEL_ADD {
        var add_row = row / params.rows_per_add;
        if HAS_STEP {
            add_row = add_row * params.add_steps + u32(step[STEP_ROW]);
        }
        v += widen(channel_add[add_row * params.out_quads + quad]);
    }
    if GATED {
        v *= activate(gate);
    } else {
        v = activate(v);
    }
    let index = row * params.out_quads + quad;
    if HAS_RESIDUAL {
        v += widen(residual[index]);
    }
    out[index] = narrow(v);
}
