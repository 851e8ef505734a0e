//! Previews by a colour for each latent, without a decoder.

use crate::picture::{Picture, unit_to_byte};

/// The picture of latents `[C, h, w]` by a colour for each latent: one pixel a latent. `table` has
/// red, green and blue in [-1, 1] for each channel, then a row that is added. `None` unless there
/// are as many channels.
pub(super) fn colours(
    latents: &[f32],
    [height, width]: [usize; 2],
    table: &[[f32; 3]],
) -> Option<Picture> {
    let pixels = height * width;
    let (added, channels) = table.split_last()?;
    if pixels == 0 || latents.len() != channels.len() * pixels {
        return None;
    }
    let rgb = (0..pixels).flat_map(|pixel| {
        [0, 1, 2].map(|colour| {
            let values = latents[pixel..].iter().step_by(pixels);
            let terms = channels.iter().zip(values).map(|(row, value)| row[colour] * value);
            unit_to_byte(terms.fold(added[colour], |sum, term| sum + term))
        })
    });
    Picture::new(width, height, rgb.collect()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families;

    #[test]
    fn latents_have_colours() {
        let sd1 = families::sd1::FAMILY.latents.preview_colours.unwrap();
        let xl = families::sdxl::FAMILY.latents.preview_colours.unwrap();
        // Two latents: zeros, and one that is 2 in the second channel.
        let mut latents = [0.0; 8];
        latents[3] = 2.0;
        let picture = colours(&latents, [1, 2], sd1).unwrap();
        assert_eq!((picture.width(), picture.height()), (2, 1));
        // 0.5·(2·0.325) + 0.5 = 0.825, and 0.9974 and 0.735, of 255.
        assert_eq!(picture.rgb(), [128, 128, 128, 210, 254, 187]);
        let picture = colours(&latents, [1, 2], xl).unwrap();
        assert_eq!(picture.rgb()[..3], [141, 125, 127]);
        assert_eq!(colours(&latents, [2, 2], sd1), None);
    }
}
