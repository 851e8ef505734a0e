//! IP-Adapter: a picture as a prompt (Ye et al., arXiv 2308.06721).

use super::encoder::ImageEncoder;
use crate::error::{Error, ErrorKind, Result};
use crate::files::{ModelFiles, refuse_pickle};
use crate::models::clip_vision::VisionOutput;
use crate::models::image_prompt::{ImagePrompt, LATENTS, ProjectionKind};
use crate::picture::Picture;
use crate::weights::{Source, View, Weights};

/// An IP-Adapter with its image encoder, read and checked, for
/// [`Diffusion::set_ip_adapter`](crate::diffusion::Diffusion::set_ip_adapter).
pub struct IpAdapter {
    pub(crate) prompted: ImagePrompted,
    pub(crate) encoder: ImageEncoder,
}

/// The part of an IP-Adapter that belongs to the denoiser.
pub struct ImagePrompted {
    /// The projection.
    pub prompt: ImagePrompt,
    /// Its weights below `image_proj`, and keys and values as `ip_adapter.N.to_k_ip.weight`.
    pub weights: Weights,
}

/// The picture of an IP-Adapter and its strength.
#[derive(Clone, Debug)]
pub struct PicturePrompt {
    /// The picture, of any size; the middle square of it counts.
    pub picture: Picture,
    /// The factor of the attention to the picture (`ip_adapter_scale`); 0 leaves it out.
    pub scale: f32,
}

impl PicturePrompt {
    /// A picture at full strength.
    pub fn new(picture: Picture) -> Self {
        PicturePrompt { picture, scale: 1.0 }
    }
}

/// The first weight of a linear projection.
const LINEAR: &str = "image_proj.proj.weight";

/// Tensors by which files are recognised that are no IP-Adapter of CLIP's embeddings, and their
/// names.
const OTHERS: [(&str, &str); 4] = [
    (
        "image_proj.perceiver_resampler.",
        "IP-Adapter-FaceID Plus, which reads face embeddings of InsightFace",
    ),
    ("image_proj.proj.3.", "IP-Adapter Full"),
    ("image_proj.proj.0.", "IP-Adapter-FaceID, which reads face embeddings of InsightFace"),
    ("ip_adapter.1.to_q_lora.", "IP-Adapter-FaceID, which reads face embeddings of InsightFace"),
];

impl IpAdapter {
    /// An IP-Adapter's file (safetensors, as published: `ip-adapter_sd15`, `ip-adapter-plus_sdxl_vit-h`)
    /// with the image encoder that it was trained with: a folder of transformers'
    /// `CLIPVisionModelWithProjection`.
    ///
    /// # Errors
    /// `NotFound` or `Io` with the path; else as [`IpAdapter::from_bytes`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(path: impl AsRef<std::path::Path>, encoder: &ModelFiles) -> Result<IpAdapter> {
        let path = path.as_ref();
        IpAdapter::from_bytes(path.display().to_string(), Source::open(path)?, encoder)
    }

    /// [`open`](IpAdapter::open) for a file in memory; `name` stands for it in messages.
    ///
    /// # Errors
    /// `Format`, `Config`, `Unsupported` or `Weights`, naming file and key; `Unsupported` for
    /// FaceID's adapters, which read something else.
    pub fn from_bytes(
        name: impl Into<String>,
        source: impl Into<Source>,
        encoder: &ModelFiles,
    ) -> Result<IpAdapter> {
        let (name, source) = (name.into(), source.into());
        refuse_pickle(&name, &source)?;
        let weights = Weights::from_bytes(name.clone(), source)?;
        let fail = |kind, message: String| Err(Error::new(kind, format!("{name}: {message}")));
        let other = OTHERS.iter().find(|(start, _)| weights.names().any(|n| n.starts_with(start)));
        if let Some((_, other)) = other {
            let message = format!("expected an IP-Adapter of CLIP's image embeddings, got {other}");
            return fail(ErrorKind::Unsupported, message);
        }
        let (kind, output, first) = match weights.shape(LATENTS) {
            Some(_) => {
                (ProjectionKind::Resampler, VisionOutput::Hidden, "image_proj.proj_in.weight")
            }
            None => (ProjectionKind::Linear, VisionOutput::Projected, LINEAR),
        };
        let Some(&[_, expected]) = weights.shape(first) else {
            let message = format!(
                "expected an IP-Adapter with {LINEAR} or {LATENTS} and image_proj.proj_in.weight, \
                 got neither"
            );
            return fail(ErrorKind::Weights, message);
        };
        let encoder = ImageEncoder::open(encoder)?.with_output(output);
        let [tokens, width] = encoder.shape();
        if expected != width {
            let message = format!(
                "expected an image encoder with {} of width {expected}, got one of width {width}: \
                 the adapter was trained with another one",
                if kind == ProjectionKind::Linear { "embeddings" } else { "hidden states" }
            );
            return fail(ErrorKind::Weights, message);
        }
        // The keys and values of the resampler are one matrix in the file.
        let weights = weights.map_names(|name, shape| {
            let rows = shape.first().map_or(0, |rows| rows / 2);
            match name.strip_suffix("to_kv.weight") {
                Some(layer) => vec![
                    (format!("{layer}to_k.weight"), View::Rows(0..rows)),
                    (format!("{layer}to_v.weight"), View::Rows(rows..2 * rows)),
                ],
                None => vec![(name.to_string(), View::Whole)],
            }
        })?;
        let prompt = ImagePrompt { kind, tokens, width };
        Ok(IpAdapter { prompted: ImagePrompted { prompt, weights }, encoder })
    }
}
