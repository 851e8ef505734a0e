//! The start of a run: noise, a noised picture (image-to-image), or inpainting.

use super::job::Job;
use super::layout::to_channels_last;
use super::mask::{at_latents, binary};
use super::model::Model;
use super::request::{ImageToImage, Request};
use crate::components::Codec;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::random::{Generator, RandomKind};

/// The start of a run. Latents are `[h, w, C]`.
pub(super) struct Initial {
    /// The first sample.
    pub sample: Vec<f32>,
    /// Mask and latents of the masked picture, `[h, w, 1 + C]`, for a network that reads them.
    pub masked: Option<Vec<f32>>,
    /// The part of a picture to keep, for a network that was not trained for masks.
    pub kept: Option<KeptPicture>,
    /// Notes for the user about the encoding.
    pub notes: Vec<String>,
}

/// A picture whose unmasked part is kept by noising it anew in every step (Lugmayr et al., RePaint,
/// arXiv 2201.09865, without its resampling).
pub(super) struct KeptPicture {
    /// Latents of the picture, `[h, w, C]`.
    pub image: Vec<f32>,
    /// The noise it gets, `[h, w, C]`.
    pub noise: Vec<f32>,
    /// `[h, w]`: 1 where the picture is painted anew.
    pub mask: Vec<f32>,
}

/// Draws the noise that a run starts from and encodes its picture. All noise comes from `random`,
/// in the order of diffusers, or with Philox in that of AUTOMATIC1111's web UI, whose encoder's noise is
/// not reproducible.
pub(super) async fn initial(
    model: &mut Model,
    gpu: &Gpu,
    request: &Request,
    job: &Job,
    random: &mut Generator,
) -> Result<Initial> {
    let Model { codec, denoiser, .. } = model;
    let inpainting = denoiser.facts().inpainting;
    let (settings, size) = (&job.settings, [job.shape.height, job.shape.width]);
    let channels = codec.channels();
    let count = channels * size[0] * size[1];
    let given = request.latents.as_deref();
    let noise = |random: &mut Generator| {
        let values = given.map_or_else(|| random.normal(count), <[f32]>::to_vec);
        to_channels_last(&values, channels)
    };
    let scaled = |noise: &[f32]| -> Vec<f32> {
        noise.iter().map(|value| value * settings.schedule.initial_scale).collect()
    };
    let mut notes = Vec::new();
    if request.denoising_start.is_some() {
        // The latents are as noisy as they shall be.
        let sample = match (given, &request.image) {
            (Some(latents), _) => to_channels_last(latents, channels),
            (None, image) => {
                let pixels = image.as_ref().map(|image| image.picture.to_unit_range());
                let pixels = pixels.unwrap_or_default();
                encode(codec, gpu, &pixels, size, random, &mut notes).await?
            }
        };
        return Ok(Initial { sample, masked: None, kept: None, notes });
    }
    let Some(ImageToImage { picture, strength, mask }) = &request.image else {
        return Ok(Initial { sample: scaled(&noise(random)), masked: None, kept: None, notes });
    };

    // A1111's web UI draws the sampler's noise from Philox first, and the encoder's from elsewhere.
    let early = (request.random == RandomKind::Philox).then(|| noise(random));
    let pixels = picture.to_unit_range();
    let from_noise = mask.is_some() && *strength == 1.0;
    let mut image = Vec::new();
    if !(from_noise && inpainting) {
        image = encode(codec, gpu, &pixels, size, random, &mut notes).await?;
    }
    let noise = early.unwrap_or_else(|| noise(random));
    let sample = match from_noise {
        true => scaled(&noise),
        false => {
            let [signal, level] = settings.schedule.steps[0].noising;
            image.iter().zip(&noise).map(|(x, z)| signal * x + level * z).collect()
        }
    };
    let Some(mask) = mask else { return Ok(Initial { sample, masked: None, kept: None, notes }) };

    let side = codec.pixels_per_latent();
    let anew = binary(&mask.coverage());
    let latent_mask = at_latents(&anew, picture.width(), side);
    if !inpainting {
        // diffusers encodes the masked picture here too, and draws for it.
        if codec.draws_noise() {
            random.normal(count);
        }
        let kept = KeptPicture { image, noise, mask: latent_mask };
        return Ok(Initial { sample, masked: None, kept: Some(kept), notes });
    }
    let kept: Vec<f32> =
        pixels.iter().enumerate().map(|(i, value)| value * (1.0 - anew[i / 3])).collect();
    let kept = encode(codec, gpu, &kept, size, random, &mut notes).await?;
    let masked = latent_mask.iter().zip(kept.chunks_exact(channels));
    let masked = masked.flat_map(|(mask, kept)| [*mask].into_iter().chain(kept.iter().copied()));
    Ok(Initial { sample, masked: Some(masked.collect()), kept: None, notes })
}

/// The latents of a picture, a sample of the encoder's posterior.
async fn encode(
    codec: &mut Codec,
    gpu: &Gpu,
    pixels: &[f32],
    size: [usize; 2],
    random: &mut Generator,
    notes: &mut Vec<String>,
) -> Result<Vec<f32>> {
    let channels = codec.channels();
    let count = channels * size[0] * size[1];
    // Not `normal(0)`: Philox counts an empty draw as well.
    let noise = if codec.draws_noise() { random.normal(count) } else { Vec::new() };
    let noise = to_channels_last(&noise, channels);
    let encoded = codec.encode(gpu, pixels, size, &noise).await?;
    notes.extend(encoded.note.filter(|note| !notes.contains(note)));
    Ok(encoded.value)
}
