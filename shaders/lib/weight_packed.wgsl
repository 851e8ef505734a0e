
// Weight format packed: four elements are two u32 of two halves each.
alias Weight4 = vec2<u32>;

// A quad of the operand `weight`.
fn weight_quad(index: u32) -> vec4<f32> {
    let v = weight[index];
    return vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y));
}
