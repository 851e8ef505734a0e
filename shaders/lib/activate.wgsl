
// The activation chosen by the header's ACTIVATION; every one maps 0 to 0, so padding stays zero.

const SILU = 1u;
const GELU = 2u;
const QUICK_GELU = 3u;
const RELU = 4u;
const LEAKY_RELU = 5u;

fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(-x));
}

// erf by Abramowitz & Stegun 7.1.26, absolute error <= 1.5e-7.
fn erf(x: vec4<f32>) -> vec4<f32> {
    let a = abs(x);
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return sign(x) * (1.0 - p * exp(-a * a));
}

fn activate(x: vec4<f32>) -> vec4<f32> {
    switch ACTIVATION {
        case SILU: { return x * sigmoid(x); }
        case GELU: { return 0.5 * x * (1.0 + erf(x * 0.7071067811865476)); }
        case QUICK_GELU: { return x * sigmoid(1.702 * x); }
        case RELU: { return max(x, vec4(0.0)); }
        case LEAKY_RELU: { return max(x, 0.2 * x); }
        default: { return x; }
    }
}
