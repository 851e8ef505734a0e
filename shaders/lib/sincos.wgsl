
// Sine and cosine of angles in fixed point: 2^32 units are one turn, so that integer arithmetic
// reduces the angle exactly, whatever a compiler does with floating-point sums. WGSL's own sin and
// cos need only be good to 2^-11, and only within half a turn.

// (sin, cos) of an angle, each to within 2e-7: the nearest quarter turn is taken off, and for
// |r| <= pi/4 the Taylor polynomials are good to 3e-8.
fn sincos(angle: u32) -> vec2<f32> {
    let quarter = (angle + 0x20000000u) >> 30u;
    let r = f32(bitcast<i32>(angle - (quarter << 30u))) * 1.4629180792671596e-9; // 2 pi / 2^32
    let r2 = r * r;
    let s = r + r * r2 * (-1.0 / 6.0 + r2 * (1.0 / 120.0 + r2 * (-1.0 / 5040.0 + r2 / 362880.0)));
    let c = 1.0 + r2 * (-0.5 + r2 * (1.0 / 24.0 + r2 * (-1.0 / 720.0 + r2 / 40320.0)));
    let turned = select(vec2(s, c), vec2(c, -s), (quarter & 1u) != 0u);
    return select(turned, -turned, (quarter & 2u) != 0u);
}

// a * b / 2^32, rounded: the product of a and the fraction b / 2^32.
fn multiply_fraction(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let cross_a = (a >> 16u) * (b & 0xffffu);
    let cross_b = (a & 0xffffu) * (b >> 16u);
    let middle = (low >> 16u) + (cross_a & 0xffffu) + (cross_b & 0xffffu) + 0x8000u;
    return (a >> 16u) * (b >> 16u) + (cross_a >> 16u) + (cross_b >> 16u) + (middle >> 16u);
}
