
// Weight format f32: four elements are a vec4<f32>.
alias Weight4 = vec4<f32>;

// A quad of the operand `weight`.
fn weight_quad(index: u32) -> vec4<f32> {
    return weight[index];
}
