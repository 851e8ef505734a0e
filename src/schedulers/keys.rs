//! [`Keys`]: typed access to the keys of a `scheduler_config.json`.

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

/// The keys of a `scheduler_config.json`; a missing key and `null` are the same.
#[derive(Clone, Debug)]
pub(super) struct Keys(Map<String, Value>);

impl Keys {
    /// Parses the text of the file; an error of kind `Format` if it is not a JSON object.
    pub(super) fn from_json(text: &str) -> Result<Keys> {
        let keys = serde_json::from_str(&without_infinities(text)).map_err(|source| {
            Error::new(ErrorKind::Format, "scheduler_config.json: expected a JSON object")
                .with_source(source)
        })?;
        Ok(Keys(keys))
    }

    /// Replaces or adds a key.
    pub(super) fn set(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    /// The value of a key, converted by `read`; where `read` gives `None`, an error of kind
    /// `Config` that says what was `expected`.
    pub(super) fn get<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| key_error(ErrorKind::Config, key, expected, &value.to_string())),
        }
    }

    /// A boolean.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        Ok(self.get(key, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    /// A number between `low` and `high`, both included.
    pub(super) fn number(&self, key: &str, [low, high]: [f64; 2]) -> Result<Option<f64>> {
        let inside = |value: &Value| value.as_f64().filter(|x| (low..=high).contains(x));
        self.get(key, &format!("a number from {low} to {high}"), inside)
    }

    /// A whole number between `low` and `high`, both included.
    pub(super) fn count(
        &self,
        key: &str,
        default: usize,
        low: usize,
        high: usize,
    ) -> Result<usize> {
        let whole = |value: &Value| value.as_u64().and_then(|x| usize::try_from(x).ok());
        let inside = |value: &Value| whole(value).filter(|x| (low..=high).contains(x));
        let expected = format!("a whole number from {low} to {high}");
        Ok(self.get(key, &expected, inside)?.unwrap_or(default))
    }

    /// One of several words, mapped to a value.
    pub(super) fn choice<T: Copy>(&self, key: &str, default: T, words: &[(&str, T)]) -> Result<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let read = |value: &Value| {
            let word = value.as_str()?;
            words.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice)
        };
        Ok(self.get(key, &format!("one of {}", names.join(", ")), read)?.unwrap_or(default))
    }

    /// A list of `count` numbers in (0, 1).
    pub(super) fn fractions(&self, key: &str, count: usize) -> Result<Option<Vec<f32>>> {
        let fraction = |value: &Value| value.as_f64().filter(|&x| x > 0.0 && x < 1.0);
        let read = |value: &Value| {
            let list: Option<Vec<f32>> =
                value.as_array()?.iter().map(|value| Some(fraction(value)? as f32)).collect();
            list.filter(|list| list.len() == count)
        };
        self.get(key, &format!("a list of {count} numbers between 0 and 1"), read)
    }

    /// An error of kind `Unsupported` unless the key (or its default) has the supported value.
    pub(super) fn require(&self, key: &str, supported: Value, default: Value) -> Result<()> {
        let value = self.0.get(key).filter(|value| !value.is_null());
        if *value.unwrap_or(&default) == supported {
            return Ok(());
        }
        let got = value.map_or_else(|| format!("nothing, which means {default}"), Value::to_string);
        let expected = supported.to_string();
        Err(key_error(ErrorKind::Unsupported, key, &expected, &got))
    }
}

/// An error whose message names the key, what was expected and what was found.
pub(super) fn key_error(kind: ErrorKind, key: &str, expected: &str, got: &str) -> Error {
    Error::new(kind, format!("scheduler_config.json: {key}: expected {expected}, got {got}"))
}

/// Replaces `Infinity`, `-Infinity` and `NaN` outside strings by `null`: Python writes them
/// (`lambda_min_clipped` is −∞ by default), JSON has no such numbers.
fn without_infinities(text: &str) -> String {
    let mut valid = String::with_capacity(text.len());
    for (i, part) in text.split('"').enumerate() {
        if i > 0 {
            valid.push('"');
        }
        match i % 2 {
            // Outside a string. An escaped quote would be miscounted, but no key or word here has
            // one.
            0 => {
                valid += &["-Infinity", "Infinity", "NaN"]
                    .iter()
                    .fold(part.to_owned(), |part, word| part.replace(word, "null"))
            }
            _ => valid += part,
        }
    }
    valid
}
