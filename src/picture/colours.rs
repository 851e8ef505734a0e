//! Samples of any colour type as 8-bit RGB.

use super::zeros;
use crate::error::Result;
use image::ColorType;

/// The samples of a picture as RGB, three bytes a pixel, and whether any pixel was transparent.
/// Samples of 16 bits are in the machine's byte order, and are rounded.
pub(super) fn to_rgb(samples: Vec<u8>, colour: ColorType) -> Result<(Vec<u8>, bool)> {
    if colour == ColorType::Rgb8 {
        return Ok((samples, false));
    }
    let channels = usize::from(colour.channel_count()).max(1);
    let bytes = usize::from(colour.bytes_per_pixel()).max(channels);
    let wide = bytes == 2 * channels;
    let pixels = samples.len() / bytes;
    let mut rgb = zeros(3 * pixels as u64)?;
    let mut transparent = false;
    for (pixel, out) in samples.chunks_exact(bytes).zip(rgb.chunks_exact_mut(3)) {
        let sample = |channel: usize| match wide {
            true => to_byte(u16::from_ne_bytes([pixel[2 * channel], pixel[2 * channel + 1]])),
            false => pixel[channel],
        };
        let colours = if channels < 3 { [sample(0); 3] } else { [0, 1, 2].map(sample) };
        let alpha = if colour.has_alpha() { sample(channels - 1) } else { 255 };
        transparent |= alpha < 255;
        out.copy_from_slice(&colours.map(|value| over_white(value, alpha)));
    }
    Ok((rgb, transparent))
}

/// A sample of 16 bits, rounded to 8.
fn to_byte(sample: u16) -> u8 {
    ((u32::from(sample) * 255 + 32_767) / 65_535) as u8
}

/// A value blended with white.
fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}
