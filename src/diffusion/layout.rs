//! Conversion between PyTorch's channels-first layout and the kernels' channels-last layout.

/// Converts `[C, H, W]` to `[H, W, C]`.
pub fn to_channels_last(values: &[f32], channels: usize) -> Vec<f32> {
    let pixels = values.len() / channels.max(1);
    (0..pixels).flat_map(|p| (0..channels).map(move |c| values[c * pixels + p])).collect()
}

/// Converts `[H, W, C]` to `[C, H, W]`.
pub fn to_channels_first(values: &[f32], channels: usize) -> Vec<f32> {
    let pixels = values.len() / channels.max(1);
    (0..channels).flat_map(|c| (0..pixels).map(move |p| values[p * channels + c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_inverse() {
        let first: Vec<f32> = (0..24).map(|v| v as f32).collect();
        let last = to_channels_last(&first, 3);
        assert_eq!(last[..6], [0.0, 8.0, 16.0, 1.0, 9.0, 17.0]);
        assert_eq!(to_channels_first(&last, 3), first);
    }
}
