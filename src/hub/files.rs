//! Selects the files of a repository that a model needs.

use super::repository::is_plain;
use crate::error::{Error, ErrorKind, Result};
use crate::files::shards::ShardIndex;
use serde_json::{Map, Value};

/// The list of a model's components.
pub(super) const INDEX: &str = "model_index.json";

/// Components without weights, in the order of their download; weights come after all else.
const TOKENIZERS: [&str; 2] = ["tokenizer", "tokenizer_2"];
const NETWORKS: [&str; 4] = ["text_encoder", "text_encoder_2", "vae", "unet"];
/// The components of a Stable Diffusion model, assumed where `model_index.json` is missing.
const USUAL: [&str; 5] = ["scheduler", "tokenizer", "text_encoder", "vae", "unet"];

/// A requirement of a model, with alternatives: all files of any one of them meet it; the first is
/// preferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    choices: Vec<Vec<String>>,
    optional: bool,
}

/// The files selected for a model, and the requirements that are not met.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// The files to use, in download order. Weights are last, so that a snapshot with weights has
    /// everything else, optional files included.
    #[cfg_attr(not(feature = "hub"), allow(dead_code))]
    pub files: Vec<String>,
    pub missing: Vec<Need>,
}

impl Selection {
    /// The shard indices among the files.
    pub fn indices(&self) -> Vec<String> {
        self.files.iter().filter(|file| is_index(file)).cloned().collect()
    }

    /// Adds the selection for other requirements.
    pub fn extend(&mut self, more: Selection) {
        self.files.extend(more.files);
        self.missing.extend(more.missing);
    }
}

impl Need {
    /// The requirement of a single file.
    pub fn file(path: String) -> Need {
        Need { choices: vec![vec![path]], optional: false }
    }

    /// The files of the preferred alternative.
    pub fn preferred(&self) -> impl Iterator<Item = &str> {
        self.choices.iter().take(1).flatten().map(String::as_str)
    }

    /// The alternatives in words, for messages; shard indices are left out.
    pub fn describe(&self) -> String {
        let choices = self.choices.iter().filter(|files| !files.iter().any(|file| is_index(file)));
        let choices: Vec<_> = choices.map(|files| files.join(" and ")).collect();
        match choices.split_first() {
            Some((first, rest)) if !rest.is_empty() => format!("{first} (or {})", rest.join(", ")),
            _ => choices.concat(),
        }
    }
}

/// The requirements of a model by the text of its `model_index.json`, or those of Stable Diffusion
/// without one.
///
/// # Errors
/// `Format` if the text is not a list of components, `Unsupported` if it has no UNet.
pub(super) fn needs(index: Option<&[u8]>, half: bool) -> Result<Vec<Need>> {
    let has: Box<dyn Fn(&str) -> bool> = match index {
        None => Box::new(|name| USUAL.contains(&name)),
        Some(text) => {
            let components = components(text)?;
            Box::new(move |name| components.iter().any(|component| component == name))
        }
    };
    let mut needs = vec![Need::file(INDEX.into())];
    if has("scheduler") {
        needs.push(Need::file("scheduler/scheduler_config.json".into()));
    }
    for folder in TOKENIZERS.into_iter().filter(|name| has(name)) {
        for file in ["tokenizer_config.json", "special_tokens_map.json"] {
            needs.push(Need { optional: true, ..Need::file(format!("{folder}/{file}")) });
        }
        let choices = vec![
            ["vocab.json", "merges.txt"].map(|file| format!("{folder}/{file}")).to_vec(),
            vec![format!("{folder}/tokenizer.json")],
        ];
        needs.push(Need { choices, optional: false });
    }
    let networks = || NETWORKS.into_iter().filter(|name| has(name));
    needs.extend(networks().map(|folder| Need::file(format!("{folder}/config.json"))));
    needs.extend(networks().map(|folder| weights(folder, half)));
    Ok(needs)
}

/// The requirement of a network's weights: f32 or f16, in one file or in shards. Of shards only the
/// index is listed here, which names [the others](shards).
fn weights(folder: &str, half: bool) -> Need {
    let stem = match folder.starts_with("text_encoder") {
        true => "model",
        false => "diffusion_pytorch_model",
    };
    let file = |end: &str| vec![format!("{folder}/{stem}{end}")];
    let mut variants = [
        [".safetensors", ".safetensors.index.json"],
        [".fp16.safetensors", ".safetensors.index.fp16.json"],
    ];
    if half {
        variants.reverse();
    }
    Need { choices: variants.concat().into_iter().map(file).collect(), optional: false }
}

/// Whether a file is an index of shards.
fn is_index(file: &str) -> bool {
    file.contains(".safetensors.index.")
}

/// The requirements of the shards that an index lists; `path` is that of the index.
///
/// # Errors
/// `Format` if the text is not an index, or if a shard is not a file beside it.
pub(super) fn shards(path: &str, text: &[u8]) -> Result<Vec<Need>> {
    let index = ShardIndex::parse(text).map_err(|error| error.context(path))?;
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let beside = |shard: &str| match is_plain(shard) && shard.ends_with(".safetensors") {
        true => Ok(Need::file(format!("{folder}/{shard}"))),
        false => {
            let message = format!("{path}: expected the name of a shard, got {shard:?}");
            Err(Error::new(ErrorKind::Format, message))
        }
    };
    index.shards().into_iter().map(beside).collect()
}

/// The names of the components that a `model_index.json` lists with a class.
fn components(text: &[u8]) -> Result<Vec<String>> {
    let index: Map<String, Value> = serde_json::from_slice(text).map_err(|error| {
        let message = format!("{INDEX}: expected an object of JSON with the model's components");
        Error::new(ErrorKind::Format, message).with_source(error)
    })?;
    let is_component = |value: &Value| matches!(value.as_array().map(Vec::as_slice), Some([_, class]) if class.is_string());
    let found = index.into_iter().filter(|(_, value)| is_component(value)).map(|(name, _)| name);
    let found: Vec<String> = found.collect();
    if !found.iter().any(|name| name == "unet") {
        let message =
            format!("{INDEX}: expected a model with a component unet, got {}", found.join(", "));
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(found)
}

/// Selects among the existing files.
pub(super) fn select(needs: Vec<Need>, has: impl Fn(&str) -> bool) -> Selection {
    let mut selection = Selection::default();
    for need in needs {
        match need.choices.iter().find(|files| files.iter().all(|file| has(file))) {
            Some(files) => selection.files.extend_from_slice(files),
            None if need.optional => {}
            None => selection.missing.push(need),
        }
    }
    selection
}

#[cfg(test)]
mod tests {
    use super::*;

    const XL: &[u8] = br#"{"_class_name": "StableDiffusionXLPipeline", "force_zeros": true,
        "text_encoder": ["transformers", "CLIPTextModel"], "scheduler": ["diffusers", "Euler"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "feature_extractor": [null, null],
        "tokenizer_2": ["transformers", "CLIPTokenizer"], "safety_checker": ["s", "Checker"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}"#;

    #[test]
    fn only_what_is_read_is_needed() {
        let all = select(needs(Some(XL), false).unwrap(), |_| true).files;
        let expected = "model_index.json scheduler/scheduler_config.json \
            tokenizer/tokenizer_config.json tokenizer/special_tokens_map.json tokenizer/vocab.json \
            tokenizer/merges.txt tokenizer_2/tokenizer_config.json \
            tokenizer_2/special_tokens_map.json tokenizer_2/vocab.json tokenizer_2/merges.txt \
            text_encoder/config.json text_encoder_2/config.json vae/config.json unet/config.json \
            text_encoder/model.safetensors text_encoder_2/model.safetensors \
            vae/diffusion_pytorch_model.safetensors unet/diffusion_pytorch_model.safetensors";
        assert_eq!(all, expected.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn weights_in_16_bits_where_they_are_preferred_or_alone() {
        let weights = |half, has: fn(&str) -> bool| select(needs(None, half).unwrap(), has).files;
        let full = "unet/diffusion_pytorch_model.safetensors";
        let half = "unet/diffusion_pytorch_model.fp16.safetensors";
        assert_eq!(weights(false, |_| true).last().unwrap(), full);
        assert_eq!(weights(true, |_| true).last().unwrap(), half);
        assert_eq!(weights(true, |file| !file.contains("fp16")).last().unwrap(), full);
        assert_eq!(
            weights(false, |file| file.contains("fp16")),
            [
                "text_encoder/model.fp16.safetensors",
                "vae/diffusion_pytorch_model.fp16.safetensors",
                half
            ]
        );
    }

    #[test]
    fn what_is_missing_is_told_with_its_choices() {
        let selection = select(needs(None, true).unwrap(), |file| !file.starts_with("tokenizer"));
        let [tokenizer] = selection.missing.as_slice() else { panic!("{selection:?}") };
        assert_eq!(
            tokenizer.describe(),
            "tokenizer/vocab.json and tokenizer/merges.txt (or tokenizer/tokenizer.json)"
        );
        let wanted: Vec<_> = tokenizer.preferred().collect();
        assert_eq!(wanted, ["tokenizer/vocab.json", "tokenizer/merges.txt"]);
    }

    #[test]
    fn an_index_that_is_none_is_refused() {
        let error = needs(Some(b"<html>"), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        let other = br#"{"transformer": ["diffusers", "Flux"], "vae": ["diffusers", "A"]}"#;
        let error = needs(Some(other), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("got transformer, vae"), "{error}");
    }
}
