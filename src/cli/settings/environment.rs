//! Settings from environment variables: `CROQUIS_` and an option's long name in capitals.

use super::layer::Layer;
use super::option::{is_flag, option_name, settable};
use clap::{Arg, ArgAction, Command};
use croquis::{Error, ErrorKind, Result};
use serde_json::Value;
use std::ffi::OsString;

/// The name of an option's variable.
pub fn variable(option: &Arg) -> String {
    format!("CROQUIS_{}", option_name(option).to_ascii_uppercase().replace('-', "_"))
}

/// The settings of a command's options in the environment. Empty variables count as not set.
///
/// # Errors
/// `Argument` for an invalid value.
pub fn layer(command: &Command, get: impl Fn(&str) -> Option<OsString>) -> Result<Layer> {
    let mut layer = Layer::default();
    for option in settable(command).filter(|option| !option.is_positional()) {
        let name = variable(option);
        let Some(text) = get(&name).filter(|text| !text.is_empty()) else { continue };
        let failed = |problem| Error::new(ErrorKind::Argument, format!("{name}: {problem}"));
        let text = text.into_string().map_err(|_| failed("expected UTF-8 text".to_string()))?;
        let value = match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" if is_flag(option) => true.into(),
            "0" | "false" | "no" | "off" if is_flag(option) => false.into(),
            number if matches!(option.get_action(), ArgAction::Count) => {
                number.parse::<u8>().map_or_else(|_| text.into(), Value::from)
            }
            _ => text.into(),
        };
        layer.set(command, option_name(option), &value, &name).map_err(failed)?;
    }
    Ok(layer)
}
