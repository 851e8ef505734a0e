//! Reading a component's `config.json`.

use crate::error::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;

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
