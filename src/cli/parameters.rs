//! The settings in the PNG's text chunk `parameters`, in the form that AUTOMATIC1111's web UI
//! writes and other tools read: the prompt, the negative prompt, then one line of settings.

use croquis::diffusion::{Generated, Request};
use croquis::schedulers::SchedulerKind;

/// The text of the chunk.
pub fn parameters(request: &Request, generated: &Generated, model: &str) -> String {
    let mut text = request.prompt.clone();
    if !request.negative_prompt.is_empty() {
        text += &format!("\nNegative prompt: {}", request.negative_prompt);
    }
    let picture = &generated.picture;
    text += &format!(
        "\nSteps: {}, Sampler: {}, CFG scale: {}, Seed: {}, Size: {}x{}, Model: {}",
        generated.steps,
        sampler(generated.scheduler),
        generated.guidance_scale,
        generated.seed,
        picture.width(),
        picture.height(),
        quoted(model),
    );
    if let Some(image) = &request.image {
        text += &format!(", Denoising strength: {}", image.strength);
    }
    text += &format!(", Version: croquis {}", env!("CARGO_PKG_VERSION"));
    text
}

/// The name that those tools have for a sampler, or ours.
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
        _ => kind.name(),
    }
}

/// A value that may hold separators is a JSON string.
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
