//! The sizes of all presets.

use super::Preset;
use super::autoencoder::AutoencoderPreset;
use super::text::{ALL_MERGES, END_PADS, TextEncoderPreset};
use super::unet::{Level, UnetFamily, UnetPreset};
use crate::error::{Error, ErrorKind, Result};
use serde_json::{Value, json};

/// The preset called `name`; an error of kind `Argument` that lists the names.
pub(super) fn named(name: &str) -> Result<Preset> {
    Ok(match name {
        "mobilediffusion" => mobile("mobilediffusion", [320, 640, 1024], [0, 2, 3], 5, false),
        "mobilediffusion-lite" => {
            mobile("mobilediffusion-lite", [320, 640, 896], [0, 1, 3], 3, true)
        }
        "emoji-64" => emoji_64(),
        "sd15" => sd15(),
        "sd21" => sd21(),
        "sdxl" => sdxl(),
        "sd15-tiny" => tiny("sd15-tiny", sd15()),
        "sd21-tiny" => tiny("sd21-tiny", sd21()),
        "sdxl-tiny" => tiny("sdxl-tiny", sdxl()),
        other => {
            let message =
                format!("preset: expected one of {}, got {other:?}", Preset::NAMES.join(", "));
            return Err(Error::new(ErrorKind::Argument, message));
        }
    })
}

/// A preset of these components; sizes that they share are taken from the UNet.
fn preset(
    name: &'static str,
    unet: UnetPreset,
    vae: AutoencoderPreset,
    texts: Vec<TextEncoderPreset>,
    scheduler: Value,
) -> Preset {
    Preset {
        name,
        sample_size: unet.sample_size,
        latent_channels: unet.latent_channels,
        text_width: unet.text_width,
        unet,
        vae,
        texts,
        scheduler,
    }
}

fn mobile(
    name: &'static str,
    channels: [usize; 3],
    transformers: [usize; 3],
    middle_transformers: usize,
    separable_resample: bool,
) -> Preset {
    let levels = [0, 1, 2].map(|level| Level {
        channels: channels[level],
        transformers: transformers[level],
        self_attention: level == 2,
        cross_attention: level > 0,
        separable: level > 0,
    });
    let unet = UnetPreset {
        family: UnetFamily::Mobile,
        sample_size: 64,
        latent_channels: 8,
        text_width: 768,
        levels: levels.to_vec(),
        middle_transformers,
        separable_resample,
        time_width: 1280,
        heads: vec![64],
        groups: 32,
        linear_projection: true,
        addition: None,
    };
    // Eight latent channels at 1/8 of the size; widths that give the decoder about the paper's 9.8
    // million parameters.
    let vae = AutoencoderPreset {
        latent_channels: 8,
        channels: [64, 128, 256, 256],
        layers: 1,
        groups: 32,
        scaling_factor: 1.0,
    };
    preset(name, unet, vae, vec![clip_l()], ddim("trailing", 0, true))
}

fn emoji_64() -> Preset {
    let base = mobile("emoji-64", [64, 192, 320], [0, 1, 1], 1, true);
    let unet = UnetPreset { sample_size: 8, text_width: 192, time_width: 256, ..base.unet };
    let vae = AutoencoderPreset { channels: [16, 24, 48, 96], groups: 8, ..base.vae };
    let text = TextEncoderPreset {
        width: 192,
        layers: 3,
        heads: 3,
        positions: 32,
        merges: 1509,
        ..clip_l()
    };
    preset("emoji-64", unet, vae, vec![text], base.scheduler)
}

/// The UNet of a Stable Diffusion model.
fn stable(
    channels: &[usize],
    transformers: &[usize],
    heads: &[usize],
    text_width: usize,
) -> UnetPreset {
    let level = |(&channels, &transformers)| Level {
        channels,
        transformers,
        self_attention: true,
        cross_attention: true,
        separable: false,
    };
    UnetPreset {
        family: UnetFamily::Stable,
        sample_size: 64,
        latent_channels: 4,
        text_width,
        levels: channels.iter().zip(transformers).map(level).collect(),
        middle_transformers: 1,
        separable_resample: false,
        time_width: 1280,
        heads: heads.to_vec(),
        groups: 32,
        linear_projection: true,
        addition: None,
    }
}

fn stable_vae(scaling_factor: f32) -> AutoencoderPreset {
    let channels = [128, 256, 512, 512];
    AutoencoderPreset { latent_channels: 4, channels, layers: 2, groups: 32, scaling_factor }
}

fn sd15() -> Preset {
    let unet = stable(&[320, 640, 1280, 1280], &[1, 1, 1, 0], &[8; 4], 768);
    let unet = UnetPreset { linear_projection: false, ..unet };
    let scheduler = scheduler(
        "PNDMScheduler",
        json!({
            "set_alpha_to_one": false, "skip_prk_steps": true, "steps_offset": 1,
        }),
    );
    preset("sd15", unet, stable_vae(0.18215), vec![clip_l()], scheduler)
}

fn sd21() -> Preset {
    let unet = stable(&[320, 640, 1280, 1280], &[1, 1, 1, 0], &[5, 10, 20, 20], 1024);
    let unet = UnetPreset { sample_size: 96, ..unet };
    // OpenCLIP's ViT-H/14 without its last layer.
    let text = TextEncoderPreset {
        width: 1024,
        layers: 23,
        heads: 16,
        activation: "gelu",
        padding: "!",
        ..clip_l()
    };
    preset("sd21", unet, stable_vae(0.18215), vec![text], ddim("leading", 1, false))
}

fn sdxl() -> Preset {
    let unet = stable(&[320, 640, 1280], &[0, 2, 10], &[5, 10, 20], 2048);
    let unet = UnetPreset {
        sample_size: 128,
        middle_transformers: 10,
        addition: Some([1280, 256]),
        ..unet
    };
    // OpenCLIP's ViT-bigG/14.
    let second = TextEncoderPreset {
        width: 1280,
        layers: 32,
        heads: 20,
        activation: "gelu",
        projection: Some(1280),
        padding: "!",
        ..clip_l()
    };
    let scheduler = scheduler(
        "EulerDiscreteScheduler",
        json!({
            "interpolation_type": "linear", "steps_offset": 1, "timestep_spacing": "leading",
            "use_karras_sigmas": false,
        }),
    );
    preset("sdxl", unet, stable_vae(0.13025), vec![clip_l(), second], scheduler)
}

/// OpenAI's CLIP ViT-L/14.
fn clip_l() -> TextEncoderPreset {
    TextEncoderPreset {
        width: 768,
        layers: 12,
        heads: 12,
        activation: "quick_gelu",
        positions: 77,
        projection: None,
        merges: ALL_MERGES,
        padding: END_PADS,
    }
}

/// A tiny copy of a preset: every block of the model with few channels, in a few megabytes.
fn tiny(name: &'static str, full: Preset) -> Preset {
    let texts: Vec<_> = (full.texts.into_iter().enumerate())
        .map(|(index, text)| TextEncoderPreset {
            width: [32, 64][index.min(1)],
            layers: 2,
            heads: 2,
            projection: text.projection.map(|_| 64),
            merges: 1509,
            ..text
        })
        .collect();
    let levels = full.unet.levels.iter().enumerate().map(|(index, level)| Level {
        channels: [32, 64][index.min(1)],
        transformers: level.transformers.min(2),
        ..*level
    });
    let unet = UnetPreset {
        sample_size: 8,
        text_width: texts.iter().map(|text| text.width).sum(),
        levels: levels.collect(),
        middle_transformers: full.unet.middle_transformers.min(2),
        time_width: 128,
        heads: full.unet.heads.iter().map(|heads| (*heads / 5).clamp(2, 4)).collect(),
        groups: 16,
        addition: full.unet.addition.map(|_| [64, 8]),
        ..full.unet
    };
    let vae = AutoencoderPreset { channels: [8, 16, 16, 16], layers: 1, groups: 4, ..full.vae };
    preset(name, unet, vae, texts, full.scheduler)
}

fn ddim(timestep_spacing: &str, steps_offset: usize, set_alpha_to_one: bool) -> Value {
    scheduler(
        "DDIMScheduler",
        json!({
            "clip_sample": false, "prediction_type": "v_prediction",
            "set_alpha_to_one": set_alpha_to_one, "steps_offset": steps_offset,
            "timestep_spacing": timestep_spacing,
        }),
    )
}

/// A scheduler configuration: the beta schedule of Stable Diffusion's training, and the sampler's
/// own keys.
fn scheduler(class: &str, own: Value) -> Value {
    let mut config = json!({
        "_class_name": class, "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "beta_start": 0.00085, "num_train_timesteps": 1000, "prediction_type": "epsilon",
    });
    if let (Some(config), Value::Object(own)) = (config.as_object_mut(), own) {
        config.extend(own);
    }
    config
}
