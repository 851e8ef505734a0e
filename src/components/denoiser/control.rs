//! ControlNet: a second network that steers the UNet by a picture (Zhang et al., arXiv 2302.05543).
//! The residuals of several are summed (diffusers' `MultiControlNetModel`).

use crate::error::{Error, ErrorKind, Result};
use crate::files::ModelFiles;
use crate::models::unet::{Outline, UnetConfig};
use crate::models::{ClassName, parse_config};
use crate::picture::Picture;
use crate::weights::Weights;
use serde::Deserialize;

/// A ControlNet that was read and checked, for [`Diffusion::set_controlnets`](crate::diffusion::Diffusion::set_controlnets).
pub struct ControlNet {
    pub(super) outline: Outline,
    pub(super) weights: Weights,
}

/// A ControlNet's conditioning picture and strength.
#[derive(Clone, Debug)]
pub struct Control {
    /// The conditioning picture, such as white edges on black; its size is the result's.
    pub picture: Picture,
    /// The factor on the ControlNet's outputs (`controlnet_conditioning_scale`).
    pub scale: f32,
    /// The fraction of the steps at which the ControlNet starts (`control_guidance_start`).
    pub start: f64,
    /// The fraction of the steps at which it ends (`control_guidance_end`).
    pub end: f64,
}

impl Control {
    /// A picture at full strength in every step.
    pub fn new(picture: Picture) -> Self {
        Control { picture, scale: 1.0, start: 0.0, end: 1.0 }
    }

    /// The picture as the network reads it: `[H, W, 3]` in [0, 1].
    pub(crate) fn values(&self) -> Vec<f32> {
        self.picture.rgb().iter().map(|value| f32::from(*value) / 255.0).collect()
    }

    /// The scale in step `index` of `steps`, as diffusers counts them.
    pub(crate) fn scale_at(&self, index: usize, steps: usize) -> f32 {
        let (from, to) = (index as f64 / steps as f64, (index + 1) as f64 / steps as f64);
        if from < self.start || to > self.end { 0.0 } else { self.scale }
    }
}

/// The keys of a ControlNet's `config.json` that change the arithmetic without a trace in the
/// weights, in addition to those of a UNet.
#[derive(Deserialize)]
struct ControlNetKeys {
    #[serde(default)]
    global_pool_conditions: bool,
    #[serde(default = "rgb")]
    controlnet_conditioning_channel_order: String,
}

fn rgb() -> String {
    "rgb".into()
}

impl ControlNet {
    /// The ControlNet of a diffusers folder (`config.json` and the weights beside it, or the same
    /// in a folder `controlnet`), or of one file, in the original layout or under diffusers'
    /// names. A single file does not show whether its results are pooled: only those of ControlNet
    /// 1.1 for shuffled pictures are, and they are steered too closely then.
    ///
    /// # Errors
    /// `NotFound`, `Format`, `Config`, `Unsupported` or `Weights`, naming file and key.
    pub fn open(files: &ModelFiles) -> Result<ControlNet> {
        let (component, file) = match files.read("config.json")? {
            Some(_) => ("", "config.json"),
            None => ("controlnet", "controlnet/config.json"),
        };
        let text = files.text(file)?;
        let class: ClassName = parse_config(file, &text)?;
        let refuse = |key: &str, expected: &str, got: &str| {
            let message =
                format!("{}: {file}: {key}: expected {expected}, got {got}", files.name());
            Err(Error::new(ErrorKind::Unsupported, message))
        };
        if class.class_name != "ControlNetModel" {
            return refuse(
                "_class_name",
                "\"ControlNetModel\"",
                &format!("{:?}", class.class_name),
            );
        }
        let variant: ControlNetKeys = parse_config(file, &text)?;
        if variant.global_pool_conditions {
            return refuse("global_pool_conditions", "false", "true");
        }
        let order = variant.controlnet_conditioning_channel_order;
        if order != rgb() {
            return refuse("controlnet_conditioning_channel_order", "\"rgb\"", &order);
        }
        let config: UnetConfig = parse_config(file, &text)?;
        let outline = config.outline().map_err(|error| error.context(files.name()))?;
        Ok(ControlNet { outline, weights: files.weights(component)? })
    }
}
