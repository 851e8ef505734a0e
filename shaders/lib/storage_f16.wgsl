
// Storage type f16: four channels are a vec4<f16>.
alias Real4 = vec4<f16>;

fn widen(v: Real4) -> vec4<f32> {
    return vec4<f32>(v);
}

// Stores clamp to the largest finite half: residual sums of trained models pass it. NaN stays NaN.
fn narrow(v: vec4<f32>) -> Real4 {
    return vec4<f16>(select(clamp(v, vec4(-65504.0), vec4(65504.0)), v, v != v));
}
