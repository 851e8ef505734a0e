//! Parsing of a component's `config.json`, and the refusal of unsupported values.

use crate::error::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Parses a `config.json`; keys that croquis does not need are ignored.
///
/// # Errors
/// `Config` naming the file, the key and what was expected.
pub fn parse_config<C: DeserializeOwned>(file: &str, text: &str) -> Result<C> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("{file} is not a valid configuration");
        Error::new(ErrorKind::Config, message).with_source(error)
    })
}

/// A word; `null` is an empty one.
fn word_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The key `_class_name`, which every configuration has.
#[derive(Deserialize)]
pub struct ClassName {
    /// The diffusers class of the component.
    #[serde(rename = "_class_name", default, deserialize_with = "word_or_null")]
    pub class_name: String,
}

/// A configuration key and its supported values, as JSON; a missing key or `null` is supported too.
pub(super) type Supported = (&'static str, &'static [&'static str]);

/// Refuses unsupported values of keys that change the computation without a trace in the weights.
///
/// # Errors
/// `Unsupported` naming file, key, what was expected and what was found.
pub(super) fn require_supported(
    file: &str,
    keys: &Map<String, Value>,
    table: &[Supported],
) -> Result<()> {
    for (key, supported) in table {
        let Some(value) = keys.get(*key).filter(|value| !value.is_null()) else { continue };
        let got = value.to_string();
        if !supported.contains(&got.as_str()) {
            let expected =
                if supported.is_empty() { "none".into() } else { supported.join(" or ") };
            let message = format!("{file}: {key}: expected {expected}, got {got}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    }
    Ok(())
}
