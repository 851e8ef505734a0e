//! The user's file `croquis.toml`: a value per option, for all commands or in the table of one.

use super::layer::Layer;
use super::option::find;
use crate::cli::folders;
use clap::Command;
use croquis::{Error, ErrorKind, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// The file of settings in force: the environment's `CROQUIS_CONFIG`, else the one in the user's folder if it
/// is there; `None` if the variable is empty.
///
/// # Errors
/// `NotFound` if the variable names a file that is not there.
pub fn path() -> Result<Option<PathBuf>> {
    match std::env::var_os("CROQUIS_CONFIG") {
        Some(name) if name.is_empty() => Ok(None),
        Some(name) if Path::new(&name).is_file() => Ok(Some(name.into())),
        Some(name) => {
            let message = format!(
                "CROQUIS_CONFIG: expected a file of settings, got {}, which is none; an empty \
                 value is no file",
                name.display()
            );
            Err(Error::new(ErrorKind::NotFound, message))
        }
        None => Ok(folders::settings_file().filter(|path| path.is_file())),
    }
}

/// A file of settings that was read and checked.
pub struct File {
    /// Settings for all commands, then those of one command by its name.
    tables: Vec<(Option<String>, Layer)>,
}

/// Reads a file and checks every key and value by the options of the command.
///
/// # Errors
/// `Io` if it cannot be read; `Argument`, with its line, for what is not valid.
pub fn open(path: &Path, all: &Command) -> Result<File> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(ErrorKind::Io, format!("{} cannot be read", path.display())).with_source(error)
    })?;
    read(&text, &path.display().to_string(), all)
}

fn read(text: &str, path: &str, all: &Command) -> Result<File> {
    let place = |at: usize| format!("{path}:{}", text[..at].matches('\n').count() + 1);
    let failed = |at: usize, problem: String| {
        Error::new(ErrorKind::Argument, format!("{}: {problem}", place(at)))
    };
    let root = DeTable::parse(text).map_err(|error| {
        failed(error.span().map_or(0, |span| span.start), error.message().into())
    })?;
    let mut tables: Vec<(Option<String>, Layer)> = vec![(None, Layer::default())];
    let mut set = |command: Option<&Command>, name: &str, at: usize, value: &DeValue| {
        // A key outside of tables is an option of any command.
        let dashed = name.replace('_', "-");
        let mut having = all.get_subcommands().filter(|command| find(command, &dashed).is_some());
        let Some(of) = command.or_else(|| having.next()) else {
            return Err(failed(at, format!("no command has an option {dashed}")));
        };
        let table = command.map(|command| command.get_name().to_string());
        let index = tables.iter().position(|(name, _)| *name == table).unwrap_or_else(|| {
            tables.push((table, Layer::default()));
            tables.len() - 1
        });
        let value = to_json(value).map_err(|problem| failed(at, format!("{dashed}: {problem}")))?;
        tables[index].1.set(of, name, &value, &place(at)).map_err(|problem| failed(at, problem))
    };
    for (key, value) in root.get_ref() {
        let (name, at) = (key.get_ref().as_ref(), key.span().start);
        match value.get_ref() {
            DeValue::Table(table) => {
                let command = all.find_subcommand(name).ok_or_else(|| {
                    failed(
                        at,
                        format!("there is no command {name} that the table [{name}] could be for"),
                    )
                })?;
                for (key, value) in table {
                    set(Some(command), key.get_ref(), key.span().start, value.get_ref())?;
                }
            }
            value => set(None, name, at, value)?,
        }
    }
    Ok(File { tables })
}

/// A TOML value as JSON's, which has the same kinds but dates.
fn to_json(value: &DeValue) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.into(),
            Err(_) => number.to_string().into(),
        },
        DeValue::Float(number) => {
            let float = number.as_str().parse().ok().and_then(serde_json::Number::from_f64);
            float.map_or_else(|| number.as_str().into(), Value::Number)
        }
        DeValue::Boolean(truth) => (*truth).into(),
        DeValue::Array(list) => {
            list.iter().map(|value| to_json(value.get_ref())).collect::<Result<_, _>>()?
        }
        other => {
            return Err(format!(
                "expected a text, number, truth or list, got a {}",
                other.type_str()
            ));
        }
    })
}

impl File {
    /// The settings for a command: those of its table over those for all commands.
    pub fn layer(&self, command: &Command) -> Layer {
        let own = self.tables.iter().find(|(name, _)| name.as_deref() == Some(command.get_name()));
        let own = own.map(|(_, layer)| layer.clone()).unwrap_or_default();
        let common = self.tables.first().map(|(_, layer)| layer.clone()).unwrap_or_default();
        own.over(command, &common)
    }
}
