
// Storage type packed: four channels are two u32 of two halves each.
alias Real4 = vec2<u32>;

fn widen(v: Real4) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y));
}

// Stores clamp to the largest finite half: residual sums of trained models pass it. NaN stays NaN.
fn narrow(v: vec4<f32>) -> Real4 {
    let c = select(clamp(v, vec4(-65504.0), vec4(65504.0)), v, v != v);
    return vec2<u32>(pack2x16float(c.xy), pack2x16float(c.zw));
}
