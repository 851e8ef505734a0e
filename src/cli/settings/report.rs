//! `croquis config`: shows the file of settings, every option's value and where it comes from.

use super::option::{option_name, settable};
use super::{built, file, places};
use crate::cli::folders;
use crate::cli::terminal::{print, print_json};
use clap::{Arg, CommandFactory};
use croquis::Result;
use croquis::hub::HubOptions;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The arguments of `croquis config`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Show the options that are set only, not the defaults
    #[arg(long)]
    set: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  croquis config
  CROQUIS_CONFIG=other.toml croquis config --set";

/// A value of an option: the commands that have it, and the place where it is set.
struct Row {
    option: String,
    commands: Vec<String>,
    values: Vec<String>,
    place: String,
}

/// Prints the settings of the command `C`.
pub fn run<C: CommandFactory>(arguments: &Arguments) -> Result<()> {
    let file = file::path()?;
    let all = rows::<C>()?;
    let rows = all.iter().filter(|row| !arguments.set || row.place != DEFAULT);
    let folders =
        [("kernels", folders::pipelines()), ("hashes", folders::hashes()), ("models", hub_cache())];
    if arguments.json {
        let setting = |row: &Row| json!({ "option": row.option, "commands": row.commands, "values": row.values, "from": row.place });
        return print_json(&json!({
            "file": shown(file.as_deref()),
            "folders": folders.map(|(name, folder)| (name, shown(folder.as_deref()))).into_iter().collect::<BTreeMap<_, _>>(),
            "settings": rows.map(setting).collect::<Vec<_>>(),
        }));
    }
    print(match (&file, folders::settings_file()) {
        (Some(file), _) => format!("file      {}", file.display()),
        (None, Some(usual)) => format!("file      none; the usual place is {}", usual.display()),
        (None, None) => "file      none".into(),
    })?;
    for (name, folder) in folders {
        print(format!("{name:<9} {}", shown(folder.as_deref()).unwrap_or_else(|| "none".into())))?;
    }
    print("")?;
    let alone = |row: &Row| all.iter().filter(|other| other.option == row.option).count() == 1;
    for row in rows {
        let commands =
            if alone(row) { String::new() } else { format!(" ({})", row.commands.join(", ")) };
        let values = if row.values.is_empty() { "-".into() } else { row.values.join(" ") };
        print(format!("{:<18} {values:<20} {}{commands}", row.option, row.place))?;
    }
    Ok(())
}

const DEFAULT: &str = "default";

/// All values of all options, by the options' names.
fn rows<C: CommandFactory>() -> Result<Vec<Row>> {
    let all = built::<C>();
    let mut rows: Vec<Row> = Vec::new();
    for command in all.get_subcommands().filter(|command| command.get_name() != "help") {
        let layers = places(&all, command)?;
        for option in settable(command).filter(|option| !option.is_positional()) {
            let name = option_name(option);
            let set = layers.iter().find_map(|layer| layer.get(name));
            let (values, place) = match set {
                Some(setting) => (setting.values.clone(), setting.place.clone()),
                None => (defaults(option), DEFAULT.to_string()),
            };
            let same = |row: &&mut Row| {
                (row.option.as_str(), &row.values, &row.place) == (name, &values, &place)
            };
            match rows.iter_mut().find(same) {
                Some(row) => row.commands.push(command.get_name().into()),
                None => rows.push(Row {
                    option: name.into(),
                    commands: vec![command.get_name().into()],
                    values,
                    place,
                }),
            }
        }
    }
    rows.sort_by(|a, b| a.option.cmp(&b.option));
    Ok(rows)
}

/// The built-in default of an option; none where the model or something else determines it.
fn defaults(option: &Arg) -> Vec<String> {
    option.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect()
}

fn shown(path: Option<&Path>) -> Option<String> {
    path.map(|path| path.display().to_string())
}

fn hub_cache() -> Option<PathBuf> {
    HubOptions::from_env().ok().map(|options| options.cache)
}
