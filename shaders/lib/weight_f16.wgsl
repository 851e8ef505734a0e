
// Weight format f16: four elements are a vec4<f16>.
alias Weight4 = vec4<f16>;

// A quad of the operand `weight`.
fn weight_quad(index: u32) -> vec4<f32> {
    return vec4<f32>(weight[index]);
}
