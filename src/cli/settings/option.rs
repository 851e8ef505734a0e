//! One option of the command, as settings see it: its values as texts, their check, its default.

use clap::builder::Resettable;
use clap::{Arg, ArgAction, Command};
use serde_json::Value;

/// The option of a command with this long name, or the positional argument with this name.
pub fn find<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    settable(command).find(|option| option_name(option) == name)
}

/// The options of a command that settings can give values.
pub fn settable(command: &Command) -> impl Iterator<Item = &Arg> {
    let acts = |option: &&Arg| {
        !matches!(
            option.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        )
    };
    command.get_arguments().filter(acts)
}

/// The long name of an option, or the name of a positional argument.
pub fn option_name(option: &Arg) -> &str {
    option.get_long().unwrap_or(option.get_id().as_str())
}

/// Whether an option is a flag without a value.
pub fn is_flag(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::SetTrue)
}

/// The texts of a value, as the option's parser takes them: several for an option that repeats.
///
/// # Errors
/// A message with what was expected and what was found.
pub fn texts(option: &Arg, value: &Value) -> Result<Vec<String>, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("expected a text or a number, got {other}")),
    };
    let texts = match (option.get_action(), value) {
        (ArgAction::SetTrue, Value::Bool(value)) => return Ok(vec![value.to_string()]),
        (ArgAction::SetTrue, other) => {
            return Err(format!("expected true or false, got {other}"));
        }
        (ArgAction::Count, Value::Number(number)) if number.as_u64().is_some_and(|n| n < 256) => {
            return Ok(vec![number.to_string()]);
        }
        (ArgAction::Count, other) => {
            return Err(format!("expected a number from 0 to 255, got {other}"));
        }
        (ArgAction::Append, Value::Array(list)) => {
            list.iter().map(text).collect::<Result<_, _>>()?
        }
        (_, value) => vec![text(value)?],
    };
    texts.iter().try_for_each(|text| check(option, text))?;
    Ok(texts)
}

/// Checks a text by the option's own parser.
fn check(option: &Arg, text: &str) -> Result<(), String> {
    // Alone in a command, the option must not name others.
    let alone = option.clone().requires(Resettable::Reset).conflicts_with(Resettable::Reset);
    let alone = alone.overrides_with(Resettable::Reset).required_unless_present(Resettable::Reset);
    let name = option_name(option);
    let word = if option.is_positional() { text.into() } else { format!("--{name}={text}") };
    let command = Command::new("croquis").no_binary_name(true).disable_help_flag(true).arg(alone);
    command
        .try_get_matches_from(
            ["--".into()].into_iter().filter(|_| option.is_positional()).chain([word]),
        )
        .map(drop)
        .map_err(|error| message(&error))
}

/// An error of the command line as one sentence.
pub fn message(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = first.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").into()
}

/// A command with another default of one option.
pub fn with_default(command: Command, option: &Arg, values: &[String]) -> Command {
    command.mut_arg(option.get_id(), |arg| arg.default_values(values.to_vec()))
}
