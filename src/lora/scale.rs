//! The scale of LoRAs whose file has no alpha tensors, from peft's configuration: α/r, or α/√r
//! (rank-stabilised, Kalajdzievski 2023). Without a configuration α = r and the scale is 1.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::key::Module;
use crate::error::{Error, ErrorKind, Result};

/// The metadata key under which diffusers saves peft's configurations of all components.
const METADATA: &str = "lora_adapter_metadata";

/// The components that a LoRA may change.
const COMPONENTS: [&str; 3] = ["unet", "text_encoder", "text_encoder_2"];

/// peft's configurations by component.
#[derive(Clone, Default)]
pub(super) struct Scales(BTreeMap<String, Config>);

/// The keys of peft's `LoraConfig` that determine the scale.
#[derive(Clone, Deserialize)]
struct Config {
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    /// α of layers that have a different one, by the end of their module path.
    #[serde(default)]
    alpha_pattern: BTreeMap<String, f64>,
}

impl Scales {
    pub(super) fn from_metadata(name: &str, metadata: &BTreeMap<String, String>) -> Result<Self> {
        let Some(text) = metadata.get(METADATA) else { return Ok(Scales::default()) };
        let place = format!("{name}: {METADATA}");
        let all: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| bad(&place, error))?;
        let mut scales = Scales::default();
        for component in COMPONENTS {
            let keys = all.iter().filter_map(|(key, value)| {
                let key = key.strip_prefix(component)?.strip_prefix('.')?;
                Some((key.to_string(), value.clone()))
            });
            let keys: Map<String, Value> = keys.collect();
            if !keys.is_empty() {
                let config = Config::deserialize(Value::Object(keys));
                let config = config.map_err(|error| bad(&format!("{place}.{component}"), error))?;
                scales.0.insert(component.into(), config);
            }
        }
        Ok(scales)
    }

    /// Reads peft's `adapter_config.json`, which applies to every component; `name` is for
    /// messages.
    pub(super) fn adapter_config(name: &str, bytes: &[u8]) -> Result<Self> {
        let config: Config = serde_json::from_slice(bytes).map_err(|error| bad(name, error))?;
        Ok(Scales(COMPONENTS.map(|component| (component.into(), config.clone())).into()))
    }

    /// The scale of a layer.
    pub(super) fn of(&self, component: &str, module: &Module, rank: usize) -> Result<f64> {
        let Some(config) = self.0.get(component) else { return Ok(1.0) };
        let (Module::Path(path) | Module::Flat(path)) = module;
        let mut alpha = config.lora_alpha;
        for (pattern, other) in &config.alpha_pattern {
            // peft reads these keys as regular expressions; diffusers writes plain paths, since
            // 2025 with ^ before them.
            let (whole, layer) = match pattern.strip_prefix('^') {
                Some(layer) => (true, layer),
                None => (false, pattern.as_str()),
            };
            if layer.contains(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.')) {
                let message = format!("alpha_pattern: expected a path of layers, got {pattern}");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            let end = path.strip_suffix(layer);
            if end.is_some_and(|start| start.is_empty() || !whole && start.ends_with('.')) {
                alpha = *other;
            }
        }
        let rank = rank as f64;
        Ok(alpha / if config.use_rslora { rank.sqrt() } else { rank })
    }
}

fn bad(place: &str, error: serde_json::Error) -> Error {
    let message = format!("{place}: expected a configuration of peft");
    Error::new(ErrorKind::Format, message).with_source(error)
}
