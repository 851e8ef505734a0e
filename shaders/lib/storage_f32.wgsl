
// Storage type f32: four channels are a vec4<f32>.
alias Real4 = vec4<f32>;

fn widen(v: Real4) -> vec4<f32> {
    return v;
}

fn narrow(v: vec4<f32>) -> Real4 {
    return v;
}
