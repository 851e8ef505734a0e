//! Settings from a picture that croquis, AUTOMATIC1111's web UI or stable-diffusion.cpp drew (`--from`).

use super::infotext::Infotext;
use super::layer::Layer;
use crate::cli::parameters::{named_sampler, named_schedule};
use clap::Command;
use croquis::picture::settings_text;
use croquis::{Error, ErrorKind, Result};
use serde_json::Value;
use std::path::Path;

/// The settings in a picture's file, and notes about those that are not taken; `given` tells which options have values
/// already.
///
/// # Errors
/// `NotFound` or `Io` if the file cannot be read; `Format` if there are no settings in it.
pub fn layer(
    command: &Command,
    file: &Path,
    given: impl Fn(&str) -> bool,
) -> Result<(Layer, Vec<String>)> {
    let named = |error: Error| error.context(format!("--from {}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        named(Error::new(kind, "the file cannot be read").with_source(error))
    })?;
    let text = settings_text(&bytes).map_err(named)?;
    let read = text.as_deref().and_then(Infotext::read).ok_or_else(|| {
        let message = "expected the settings of croquis, AUTOMATIC1111's web UI or \
                       stable-diffusion.cpp in the picture, got none";
        named(Error::new(ErrorKind::Format, message))
    })?;
    let mut taken = Taken {
        command,
        layer: Layer::default(),
        place: file.display().to_string(),
        left: Vec::new(),
    };
    taken.take(&read);
    Ok((taken.layer.clone(), taken.notes(&read, given)))
}

/// The settings that were taken so far.
struct Taken<'c> {
    command: &'c Command,
    layer: Layer,
    place: String,
    /// What is not understood, as `key value`.
    left: Vec<String>,
}

/// Keys that say nothing about the picture, or what other keys say too.
const SILENT: [&str; 10] = [
    "Version",
    "Model",
    "Model hash",
    "VAE",
    "VAE hash",
    "Lora hashes",
    "TI hashes",
    "Hashes",
    "Guidance",
    "Loras",
];

impl Taken<'_> {
    fn take(&mut self, read: &Infotext) {
        self.set("prompt", "Prompt", &read.prompt);
        self.set("negative-prompt", "Negative prompt", &read.negative_prompt);
        // With a second pass, the strength is that of it, not of image to image.
        let second_pass = read.settings.iter().any(|(key, _)| key.starts_with("Hires"));
        for (key, value) in &read.settings {
            match key.as_str() {
                "Steps" => self.set("steps", key, value),
                "CFG scale" => self.set("guidance-scale", key, value),
                "CFG rescale" => self.set("guidance-rescale", key, value),
                "Eta DDIM" | "Gamma" => self.set("eta", key, value),
                "Seed" => self.set("seed", key, value),
                "Clip skip" if value.starts_with('-') || value == "0" => {} // sd.cpp's default
                "Clip skip" => self.set("clip-skip", key, value),
                "Mask blur" => self.set("mask-blur", key, value),
                "Denoising strength" if second_pass => self.set("hires-strength", key, value),
                "Denoising strength" => self.set("strength", key, value),
                "Hires upscale" => self.set("hires", key, value),
                "Hires steps" if value == "0" => {} // those of the first pass
                "Hires steps" => self.set("hires-steps", key, value),
                "Hires upscaler" if value == "Lanczos" => {}
                "Size" => match value.split_once('x') {
                    Some((width, height)) => {
                        self.set("width", key, width);
                        self.set("height", key, height);
                    }
                    None => self.leave(key, value),
                },
                "Sampler" => self.sampler(value, read.get("Schedule type")),
                "Schedule type" => {}
                "Emphasis" if value == "None" => self.put("plain-prompts", key, &true.into()),
                "Emphasis" if value == "Original" => {}
                "RNG" => {}
                "Grid" => self.set("grid", key, value),
                "Eta" if value.parse() == Ok(0.0) => {}
                silent if SILENT.contains(&silent) => {}
                _ => self.leave(key, value),
            }
        }
        let generator = match read.get("RNG") {
            Some("CPU" | "cpu") => "torch",
            Some("GPU" | "NV" | "cuda") => "philox",
            Some(other) => return self.leave("RNG", other),
            // The web UI leaves its default out, the numbers of a GPU; croquis leaves out its own.
            None if read.get("Version").is_some_and(|version| version.starts_with("croquis")) => {
                "torch"
            }
            None => "philox",
        };
        self.set("rng", "RNG", generator);
    }

    /// Takes the sampler, and its spacing where it supports it.
    fn sampler(&mut self, name: &str, schedule: Option<&str>) {
        let Some((scheduler, spacing)) = named_sampler(name) else {
            self.leave("Sampler", name);
            return schedule.into_iter().for_each(|schedule| self.leave("Schedule type", schedule));
        };
        self.set("scheduler", "Sampler", scheduler.name());
        let schedule = schedule.filter(|schedule| *schedule != "Automatic");
        match schedule.map_or(spacing, named_schedule) {
            Some(spacing) if scheduler.spacings().contains(&spacing) => {
                self.set("spacing", "Schedule type", spacing.name());
            }
            Some(spacing) => self.leave("Schedule type", schedule.unwrap_or(spacing.name())),
            None => schedule.into_iter().for_each(|schedule| self.leave("Schedule type", schedule)),
        }
    }

    fn set(&mut self, option: &str, key: &str, value: &str) {
        self.put(option, key, &value.into());
    }

    fn put(&mut self, option: &str, key: &str, value: &Value) {
        if self.layer.set(self.command, option, value, &self.place).is_err() {
            self.leave(key, value.as_str().unwrap_or_default());
        }
    }

    fn leave(&mut self, key: &str, value: &str) {
        self.left.push(format!("{key} {value}"));
    }

    fn notes(&self, read: &Infotext, given: impl Fn(&str) -> bool) -> Vec<String> {
        let mut notes = Vec::new();
        let left: Vec<_> = self.left.iter().chain(&read.rest).map(String::as_str).collect();
        if !left.is_empty() {
            notes.push(format!("not taken from {}: {}", self.place, left.join(", ")));
        }
        let model = read.get("Model").filter(|name| *name != "emoji-64" && !given("model"));
        if let Some(model) = model {
            notes.push(format!("the picture is by the model {model}: --model chooses it"));
        }
        if let Some(loras) = read.get("Loras").filter(|_| !given("lora")) {
            notes.push(format!("the picture is by a model with LoRAs ({loras}): --lora adds them"));
        }
        if self.layer.get("strength").is_some() && !given("image") {
            notes.push("the picture was made from another one: --image takes it".into());
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::settings::command;
    use crate::cli::txt2img::Arguments;

    /// The options taken from a text, and what is left.
    fn taken(text: &str) -> (Vec<(String, String)>, Vec<String>) {
        let command = command::<Arguments>();
        let read = Infotext::read(text).expect("settings");
        let mut taken = Taken {
            command: &command,
            layer: Layer::default(),
            place: "x.png".into(),
            left: Vec::new(),
        };
        taken.take(&read);
        let names =
            ["prompt", "negative-prompt", "steps", "guidance-scale", "seed", "width", "height"];
        let more = [
            "scheduler",
            "spacing",
            "clip-skip",
            "strength",
            "hires",
            "hires-steps",
            "hires-strength",
            "rng",
            "plain-prompts",
        ];
        let value = |name: &&str| Some((name.to_string(), taken.layer.get(name)?.values.join(" ")));
        (names.iter().chain(&more).filter_map(value).collect(), taken.left.clone())
    }

    fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn the_web_ui() {
        let text = "a boat, (old:1.2)\nNegative prompt: fog\nSteps: 24, Sampler: DPM++ 2M, Schedule type: Karras, \
                    CFG scale: 6.5, Seed: 2179987202, Size: 768x512, Model hash: 6ce0161689, Model: v1-5, \
                    Denoising strength: 0.5, Clip skip: 2, Hires upscale: 2, Hires steps: 10, Hires upscaler: Latent, \
                    ADetailer model: face, Version: v1.10.1";
        let (options, left) = taken(text);
        let wanted = expected(&[
            ("prompt", "a boat, (old:1.2)"),
            ("negative-prompt", "fog"),
            ("steps", "24"),
            ("guidance-scale", "6.5"),
            ("seed", "2179987202"),
            ("width", "768"),
            ("height", "512"),
            ("scheduler", "dpm++2m"),
            ("spacing", "karras"),
            ("clip-skip", "2"),
            ("hires", "2"),
            ("hires-steps", "10"),
            ("hires-strength", "0.5"),
            ("rng", "philox"),
        ]);
        assert_eq!(options, wanted);
        let words = ["Hires upscaler Latent", "ADetailer model face"];
        assert_eq!(left, words);
    }

    #[test]
    fn the_web_ui_before_schedule_types() {
        let text = "x\nSteps: 20, Sampler: DPM++ SDE Karras, CFG scale: 7, Seed: 1, Size: 8x8, RNG: CPU, Emphasis: None";
        let (options, left) = taken(text);
        let has = |name: &str, value: &str| options.contains(&(name.into(), value.into()));
        assert!(has("scheduler", "dpm++sde") && has("spacing", "karras"), "{options:?}");
        assert!(has("rng", "torch") && has("plain-prompts", "true"), "{options:?}");
        assert_eq!(left, Vec::<String>::new());
    }

    #[test]
    fn stable_diffusion_cpp() {
        let text = "a boat\nSteps: 30, CFG scale: 5.000000, Guidance: 3.500000, Eta: 0.000000, Seed: 197, \
                    Size: 512x512, Model: v1-5.safetensors, RNG: cuda, Sampler: euler karras, \
                    Clip skip: -1, Version: stable-diffusion.cpp";
        let (options, left) = taken(text);
        let has = |name: &str, value: &str| options.contains(&(name.into(), value.into()));
        assert!(has("scheduler", "euler") && has("spacing", "karras"), "{options:?}");
        assert!(has("guidance-scale", "5.000000") && has("rng", "philox"), "{options:?}");
        assert!(!options.iter().any(|(name, _)| name == "clip-skip"), "{options:?}");
        assert_eq!(left, Vec::<String>::new());
        for (sampler, left) in [
            ("euler_a discrete", vec![]),
            ("euler_a karras", vec!["Schedule type karras"]),
            ("ipndm_v", vec!["Sampler ipndm_v"]),
        ] {
            assert_eq!(taken(&text.replace("euler karras", sampler)).1, left, "{sampler}");
        }
        assert_eq!(taken(&text.replace("Steps: 30", "Steps: x")).1, ["Steps x"]);
    }
}
