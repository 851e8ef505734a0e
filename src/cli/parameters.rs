//! The generation parameters in the PNG's text chunk `parameters`, in the form of AUTOMATIC1111's
//! web UI that other tools read: the prompt, the negative prompt, then one line of settings.

use super::hires;
use super::options::short_name;
use croquis::RandomKind;
use croquis::diffusion::{Diffusion, Generated, Request};
use croquis::{SchedulerKind, Spacing};

/// The text of the chunk `parameters`.
pub fn parameters(
    diffusion: &Diffusion,
    request: &Request,
    generated: &Generated,
    model_hash: Option<&str>,
    refiner: Option<(String, f32)>,
    loras: &[String],
) -> String {
    let mut text = request.prompt.clone();
    if !request.negative_prompt.is_empty() {
        text += &format!("\nNegative prompt: {}", request.negative_prompt);
    }
    let picture = &generated.picture;
    // With a second pass, the size is that of the first.
    let [width, height] = generated.first_size.unwrap_or([picture.width(), picture.height()]);
    text += &format!(
        "\nSteps: {}, Sampler: {}, CFG scale: {}, Seed: {}, Size: {width}x{height}",
        generated.steps,
        sampler(generated.scheduler),
        generated.guidance_scale,
        generated.seed,
    );
    if let Some(hash) = model_hash {
        text += &format!(", Model hash: {hash}");
    }
    text += &format!(", Model: {}", quoted(&short_name(diffusion.model())));
    if let Some(image) = &request.image {
        text += &format!(", Denoising strength: {}", image.strength);
    }
    for (key, value) in hires::noted(diffusion, request, generated) {
        text += &format!(", {key}: {}", quoted(&value));
    }
    if let Some(mask) = request.image.as_ref().and_then(|image| image.mask.as_ref()) {
        text += &format!(", Mask blur: {}", mask.blur);
    }
    if let Some(spacing) = request.spacing {
        text += &format!(", Schedule type: {}", schedule_type(spacing));
    }
    if let Some(eta) = request.eta {
        let name = if generated.scheduler == SchedulerKind::Tcd { "Gamma" } else { "Eta DDIM" };
        text += &format!(", {name}: {eta}");
    }
    if request.guidance_rescale != 0.0 {
        text += &format!(", CFG rescale: {}", request.guidance_rescale);
    }
    if let Some(skip) = request.clip_skip.filter(|skip| *skip > 1) {
        text += &format!(", Clip skip: {skip}");
    }
    if request.plain_prompts {
        text += ", Emphasis: None";
    }
    if request.random == RandomKind::Philox {
        text += ", RNG: NV";
    }
    if let Some((name, start)) = refiner {
        text += &format!(", Refiner: {}, Refiner switch at: {start}", quoted(&name));
    }
    if !request.controls.is_empty() {
        let scales: Vec<_> =
            request.controls.iter().map(|control| control.scale.to_string()).collect();
        text += &format!(", ControlNet weight: {}", quoted(&scales.join(", ")));
    }
    if !loras.is_empty() {
        text += &format!(", Loras: {}", quoted(&loras.join(", ")));
    }
    text += &format!(", Version: croquis {}", env!("CARGO_PKG_VERSION"));
    text
}

/// The text of a picture's settings for a contact sheet that it is part of.
pub fn with_grid(settings: &str, axes: &str) -> String {
    format!("{settings}, Grid: {}", quoted(axes))
}

/// AUTOMATIC1111's name of a sampler, or croquis' name where there is none.
fn sampler(kind: SchedulerKind) -> &'static str {
    match kind {
        SchedulerKind::Ddim => "DDIM",
        SchedulerKind::Ddpm => "DDPM",
        SchedulerKind::Euler => "Euler",
        SchedulerKind::EulerAncestral => "Euler a",
        SchedulerKind::DpmSolver2M => "DPM++ 2M",
        SchedulerKind::DpmSolver2MKarras => "DPM++ 2M Karras",
        SchedulerKind::Lcm => "LCM",
        SchedulerKind::UfoGen => "UFOGen",
        SchedulerKind::Pndm => "PLMS",
        SchedulerKind::Heun => "Heun",
        SchedulerKind::DpmSolver2MSde => "DPM++ 2M SDE",
        SchedulerKind::DpmSolverSde => "DPM++ SDE",
        SchedulerKind::UniPc => "UniPC",
        SchedulerKind::Tcd => "TCD",
        SchedulerKind::Dpm2 => "DPM2",
        SchedulerKind::Dpm2Ancestral => "DPM2 a",
        SchedulerKind::Lms => "LMS",
        SchedulerKind::DdimCfgPp => "DDIM CFG++",
        SchedulerKind::DpmSolver3MSde => "DPM++ 3M SDE",
        _ => kind.name(),
    }
}

/// AUTOMATIC1111's name of a spacing ("Schedule type"), or croquis' name where there is none.
fn schedule_type(spacing: Spacing) -> &'static str {
    match spacing {
        Spacing::Karras => "Karras",
        Spacing::Exponential => "Exponential",
        Spacing::Trailing => "SGM Uniform",
        Spacing::Beta => "Beta",
        _ => spacing.name(),
    }
}

/// The sampler of AUTOMATIC1111's, stable-diffusion.cpp's or croquis' name, and the spacing that the name has at its
/// end.
pub fn named_sampler(name: &str) -> Option<(SchedulerKind, Option<Spacing>)> {
    let find = |name: &str| {
        let is = |kind: &SchedulerKind| sampler(*kind).eq_ignore_ascii_case(name);
        SchedulerKind::ALL.into_iter().find(is).or_else(|| name.parse().ok())
    };
    if let Some(kind) = find(name) {
        return Some((kind, None));
    }
    let (sampler, schedule) = name.rsplit_once(' ')?;
    match schedule {
        "discrete" => Some((find(sampler)?, None)),
        _ => Some((find(sampler)?, Some(named_schedule(schedule)?))),
    }
}

/// The spacing of AUTOMATIC1111's, stable-diffusion.cpp's or croquis' name.
pub fn named_schedule(name: &str) -> Option<Spacing> {
    let is = |spacing: &Spacing| {
        let words = name.replace('_', " ");
        schedule_type(*spacing).eq_ignore_ascii_case(&words) || spacing.name() == name
    };
    Spacing::ALL.into_iter().find(is)
}

/// Quotes a value as a JSON string if it contains separators.
fn quoted(value: &str) -> String {
    if value.contains([',', ':', '\n', '"']) {
        return serde_json::Value::from(value).to_string();
    }
    value.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_quoted() {
        assert_eq!(quoted("emoji-64"), "emoji-64");
        assert_eq!(quoted("a, b"), "\"a, b\"");
    }
}
