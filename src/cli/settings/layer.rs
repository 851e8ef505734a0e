//! [`Layer`]: values of options from one place.

use super::option::{find, is_flag, option_name, settable, texts};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;
use std::collections::BTreeMap;

/// The name of a command that has options, but is no subcommand.
pub const WHOLE: &str = "croquis";

/// Values of options by the options' long names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layer(BTreeMap<String, Setting>);

/// The values of an option, several if it repeats, and the place where they are set.
#[derive(Clone, Debug)]
pub struct Setting {
    pub values: Vec<String>,
    pub place: String,
}

impl PartialEq for Setting {
    /// Settings are equal if their values are, wherever they come from.
    fn eq(&self, other: &Setting) -> bool {
        self.values == other.values
    }
}

impl Layer {
    /// The options on a command line.
    pub fn of_matches(command: &Command, matches: &ArgMatches) -> Layer {
        let given = settable(command).filter(|option| {
            let source = matches.value_source(option.get_id().as_str());
            source == Some(ValueSource::CommandLine)
        });
        let setting = |option: &Arg| {
            let id = option.get_id().as_str();
            let values = match option.get_action() {
                ArgAction::Count => vec![matches.get_count(id).to_string()],
                ArgAction::SetTrue => vec![matches.get_flag(id).to_string()],
                _ => {
                    let raw = matches.get_raw(id).into_iter().flatten();
                    raw.map(|value| value.to_string_lossy().into_owned()).collect()
                }
            };
            (option_name(option).to_string(), Setting { values, place: "command line".into() })
        };
        Layer(given.map(setting).collect())
    }

    /// Sets an option of a command, written with `-` or `_`, to a value from a place.
    ///
    /// # Errors
    /// A message with the option, what was expected and what was found.
    pub fn set(
        &mut self,
        command: &Command,
        name: &str,
        value: &Value,
        place: &str,
    ) -> Result<(), String> {
        let name = name.replace('_', "-");
        let option = find(command, &name).ok_or_else(|| no_option(command, &name))?;
        let values = texts(option, value).map_err(|problem| format!("{name}: {problem}"))?;
        self.0.insert(name, Setting { values, place: place.into() });
        Ok(())
    }

    /// The setting of an option.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.0.get(name)
    }

    /// The settings of lower layers, the strongest first, that become defaults: those of options that
    /// are set nowhere above and do not contradict one that is.
    pub fn defaults<'c, 'l>(
        &self,
        command: &'c Command,
        layers: &'l [Layer],
    ) -> Vec<(&'c Arg, &'l Setting)> {
        let mut set: Vec<&Arg> = self.0.keys().filter_map(|name| find(command, name)).collect();
        let mut defaults = Vec::new();
        for layer in layers {
            let options =
                layer.0.iter().filter_map(|(name, setting)| Some((find(command, name)?, setting)));
            let free = |option: &Arg| !set.iter().any(|other| excludes(command, option, other));
            let own: Vec<_> = options.filter(|(option, _)| free(option)).collect();
            set.extend(own.iter().map(|(option, _)| *option));
            defaults.extend(own);
        }
        defaults
    }

    /// This layer over another one of the same command: settings of the other that are set here or
    /// contradict one of these are left out.
    pub fn over(&self, command: &Command, lower: &Layer) -> Layer {
        let mut all = self.clone();
        for (option, setting) in self.defaults(command, std::slice::from_ref(lower)) {
            all.0.insert(option_name(option).into(), setting.clone());
        }
        all
    }

    /// This layer over the explicit one and those below it, the strongest first.
    pub fn over_all(&self, command: &Command, explicit: &Layer, layers: &[Layer]) -> Layer {
        let below = std::iter::once(explicit).chain(layers);
        below.fold(self.clone(), |all, layer| all.over(command, layer))
    }

    /// The settings of those of a command's options that are wanted.
    pub fn of(&self, command: &Command, wanted: impl Fn(&Arg) -> bool) -> Layer {
        let is_wanted = |(name, _): &(&String, &Setting)| find(command, name).is_some_and(&wanted);
        let settings = self.0.iter().filter(is_wanted);
        Layer(settings.map(|(name, setting)| (name.clone(), setting.clone())).collect())
    }

    /// The words of a command line that sets these options.
    pub fn words(&self, command: &Command) -> Vec<String> {
        let (mut words, mut last) = (Vec::new(), vec!["--".to_string()]);
        for (name, setting) in &self.0 {
            let Some(option) = find(command, name) else { continue };
            for value in &setting.values {
                match option.get_action() {
                    _ if option.is_positional() => last.push(value.clone()),
                    ArgAction::Count => {
                        let times = value.parse().unwrap_or(0);
                        words.extend(std::iter::repeat_n(format!("--{name}"), times));
                    }
                    _ if is_flag(option) && value == "true" => words.push(format!("--{name}")),
                    _ if is_flag(option) => {}
                    _ => words.push(format!("--{name}={value}")),
                }
            }
        }
        words.extend(last);
        words
    }
}

fn no_option(command: &Command, name: &str) -> String {
    match command.get_name() {
        WHOLE => format!("there is no option {name}"),
        command => format!("the command {command} has no option {name}"),
    }
}

/// Whether a setting of one option leaves no room for that of another: they are the same, or conflict.
fn excludes(command: &Command, one: &Arg, other: &Arg) -> bool {
    let conflict = |a: &Arg, b: &Arg| {
        command.get_arg_conflicts_with(a).iter().any(|known| known.get_id() == b.get_id())
    };
    one.get_id() == other.get_id() || conflict(one, other) || conflict(other, one)
}
