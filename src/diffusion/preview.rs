//! Looks at a picture in the making that cost little: a small decoder, or a colour for each latent.

use super::session::Diffusion;
use crate::error::Result;
use crate::picture::Picture;

/// Colours of four-channel latents: red, green and blue in [-1, 1] are a row for each channel, and
/// one that is added.
type Colours = [[f32; 3]; 5];

/// Least-squares fits of downsized pictures to their latents, as ComfyUI has them
/// (comfy/latent_formats.py, `latent_rgb_factors`); the idea is Keturn's ("Decoding latents to RGB
/// without upscaling", discuss.huggingface.co, 2022).
const STABLE_DIFFUSION_1: Colours = [
    [0.3512, 0.2297, 0.3227],
    [0.3250, 0.4974, 0.2350],
    [-0.2829, 0.1762, 0.2721],
    [-0.2120, -0.2616, -0.7177],
    [0.0, 0.0, 0.0],
];
const STABLE_DIFFUSION_XL: Colours = [
    [0.3651, 0.4232, 0.4341],
    [-0.2533, -0.0042, 0.1068],
    [0.1076, 0.1111, -0.0362],
    [-0.3165, -0.2492, -0.2188],
    [0.1084, -0.0175, -0.0011],
];

/// The picture of latents `[C, h, w]` by a colour for each latent: one pixel a latent, so an eighth
/// of the size. `None` unless there are four channels.
fn colours(latents: &[f32], height: usize, width: usize, table: &Colours) -> Option<Picture> {
    let pixels = height * width;
    if pixels == 0 || latents.len() != 4 * pixels {
        return None;
    }
    let byte = |value: f32| ((0.5 * value + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
    let rgb = (0..pixels).flat_map(|pixel| {
        [0, 1, 2].map(|colour| {
            let sum = table[4][colour];
            byte((0..4).fold(sum, |sum, c| sum + table[c][colour] * latents[c * pixels + pixel]))
        })
    });
    Picture::new(width, height, rgb.collect()).ok()
}

impl Diffusion {
    /// The picture of latents `[C, h, w]` by the preview decoder, if there is one, else by the
    /// model's own.
    ///
    /// # Errors
    /// As [`decode`](Diffusion::decode).
    pub async fn preview(
        &mut self,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Picture> {
        let latents = self.latents_in(latents, height, width)?;
        // The network in whose steps the preview is asked for stays loaded.
        let used = self.model.bytes();
        let budget = self.memory_budget().unwrap_or(u64::MAX);
        let codec = self.model.preview.as_mut().unwrap_or(&mut self.model.codec);
        codec.stage_bytes = budget.saturating_sub(used - codec.bytes());
        Ok(codec.decode(&self.gpu, &latents, height, width).await?.value)
    }

    /// The picture of latents `[C, h, w]` by a colour for each latent, without the GPU: one pixel a
    /// latent. `None` for models whose latents have no known colours: others than those of the
    /// Stable Diffusion 1, 2 and XL families.
    pub fn preview_fast(&self, latents: &[f32], height: usize, width: usize) -> Option<Picture> {
        let table = if self.model.codec.xl { &STABLE_DIFFUSION_XL } else { &STABLE_DIFFUSION_1 };
        let known = self.model.codec.pixels_per_latent() == 8;
        known.then(|| colours(latents, height, width, table)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_have_colours() {
        // Two latents: zeros, and one that is 2 in the second channel.
        let mut latents = [0.0; 8];
        latents[3] = 2.0;
        let picture = colours(&latents, 1, 2, &STABLE_DIFFUSION_1).unwrap();
        assert_eq!((picture.width(), picture.height()), (2, 1));
        // 0.5·(2·0.325) + 0.5 = 0.825, and 0.9974 and 0.735, of 255.
        assert_eq!(picture.rgb(), [128, 128, 128, 210, 254, 187]);
        let picture = colours(&latents, 1, 2, &STABLE_DIFFUSION_XL).unwrap();
        assert_eq!(picture.rgb()[..3], [141, 125, 127]);
        assert_eq!(colours(&latents, 2, 2, &STABLE_DIFFUSION_1), None);
    }
}
