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

/// The keys of peft's `LoraConfig`, `LoHaConfig` and `LoKrConfig` that determine the scale.
#[derive(Clone, Deserialize)]
struct Config {
    /// Named `alpha` in the configurations of LoHa and LoKr.
    #[serde(alias = "alpha")]
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    /// The rank, which the weights show except for a LoKr without decomposed factors.
    r: Option<f64>,
    /// α of layers that have a different one, by the end of their module path.
    #[serde(default)]
    alpha_pattern: BTreeMap<String, f64>,
    /// r of layers that have a different one, likewise.
    #[serde(default)]
    rank_pattern: BTreeMap<String, f64>,
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

    /// The scale of a layer; `rank` is what its weights show.
    pub(super) fn of(&self, component: &str, module: &Module, rank: Option<usize>) -> Result<f64> {
        let Some(config) = self.0.get(component) else { return Ok(1.0) };
        let (Module::Path(path) | Module::Flat(path)) = module;
        let alpha = of_layer(&config.alpha_pattern, "alpha_pattern", path)?;
        let alpha = alpha.unwrap_or(config.lora_alpha);
        let rank = match rank {
            Some(rank) => Some(rank as f64),
            None => of_layer(&config.rank_pattern, "rank_pattern", path)?.or(config.r),
        };
        let Some(rank) = rank.filter(|&rank| rank > 0.0) else {
            let message = format!("{component}: expected the rank r in the configuration of peft");
            return Err(Error::new(ErrorKind::Format, message));
        };
        Ok(alpha / if config.use_rslora { rank.sqrt() } else { rank })
    }
}

/// The value of the pattern that fits a layer, if there is one.
fn of_layer(patterns: &BTreeMap<String, f64>, name: &str, path: &str) -> Result<Option<f64>> {
    let mut found = None;
    for (pattern, value) in patterns {
        // peft reads these keys as regular expressions; diffusers writes plain paths, since 2025
        // with ^ before them.
        let (whole, layer) = match pattern.strip_prefix('^') {
            Some(layer) => (true, layer),
            None => (false, pattern.as_str()),
        };
        if layer.contains(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.')) {
            let message = format!("{name}: expected a path of layers, got {pattern}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let end = path.strip_suffix(layer);
        if end.is_some_and(|start| start.is_empty() || !whole && start.ends_with('.')) {
            found = Some(*value);
        }
    }
    Ok(found)
}

fn bad(place: &str, error: serde_json::Error) -> Error {
    let message = format!("{place}: expected a configuration of peft");
    Error::new(ErrorKind::Format, message).with_source(error)
}
