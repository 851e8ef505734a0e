//! Settings from other places than the command line: the environment, and the user's file `croquis.toml`. They
//! become defaults of options, so that the command line overrides them.

mod environment;
mod file;
mod infotext;
mod layer;
mod option;
mod picture;
mod report;

pub use layer::Layer;
pub use option::{is_flag, option_name, settable};
pub use report::{Arguments, run};

use clap::{Args, Command, CommandFactory, FromArgMatches};
use croquis::{Error, ErrorKind, Result};
use std::ffi::OsString;

/// A command line that was read, with the settings from other places.
pub struct CommandLine<C> {
    pub command: C,
    /// The options of the subcommand that are on the command line.
    pub explicit: Layer,
    /// The settings from other places for the subcommand, the strongest first.
    pub layers: Vec<Layer>,
    /// Notes for the user, about settings that were not taken.
    pub notes: Vec<String>,
}

/// Reads this process' command line. The process ends here if the line is wrong or asks for help.
///
/// # Errors
/// `Argument` for a setting in the environment or the file that is not valid; `Io` or `NotFound`
/// if the file cannot be read.
pub fn command_line<C: CommandFactory + FromArgMatches>() -> Result<CommandLine<C>> {
    let mut command = C::command();
    let words: Vec<OsString> = std::env::args_os().collect();
    let matches = command.clone().get_matches_from(&words);
    let (mut explicit, mut layers, mut notes) = (Layer::default(), Vec::new(), Vec::new());
    let all = built::<C>();
    let called = matches.subcommand();
    if let Some((name, given)) = called
        && let Some(subcommand) = all.find_subcommand(name)
    {
        explicit = Layer::of_matches(subcommand, given);
        layers = places(&all, subcommand)?;
        let (whole, told) = with_picture(subcommand, &explicit, &layers)?;
        notes = told;
        for (option, setting) in explicit.defaults(subcommand, &whole) {
            // Options of every command belong to the command above.
            let common = command.get_arguments().any(|arg| arg.get_id() == option.get_id());
            command = match common {
                true => option::with_default(command, option, &setting.values),
                false => command.mut_subcommand(name, |subcommand| {
                    option::with_default(subcommand, option, &setting.values)
                }),
            };
        }
    }
    let matches = command.get_matches_from(words);
    let command = C::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    Ok(CommandLine { command, explicit, layers, notes })
}

/// Reads the arguments of a command from settings: the explicit ones as if they were on the command
/// line, and the others as [`command_line`] does.
///
/// # Errors
/// `Argument` if the command line would be wrong; others about a picture whose settings are taken.
pub fn read<T: Args>(explicit: &Layer, layers: &[Layer]) -> Result<(T, Vec<String>)> {
    let all = command::<T>();
    let mut command = bare::<T>();
    let (layers, notes) = with_picture(&all, explicit, layers)?;
    for (option, setting) in explicit.defaults(&all, &layers) {
        command = option::with_default(command, option, &setting.values);
    }
    let words = explicit.words(&all);
    let matches = command.try_get_matches_from(words);
    let arguments = matches
        .and_then(|matches| T::from_arg_matches(&matches))
        .map_err(|error| Error::new(ErrorKind::Argument, option::message(&error)))?;
    Ok((arguments, notes))
}

/// The layers with that of the picture given by `--from` above them, and notes about it.
fn with_picture(
    command: &Command,
    explicit: &Layer,
    layers: &[Layer],
) -> Result<(Vec<Layer>, Vec<String>)> {
    let set =
        |name: &str| std::iter::once(explicit).chain(layers).find_map(|layer| layer.get(name));
    let Some(file) = set("from").and_then(|setting| setting.values.first()) else {
        return Ok((layers.to_vec(), Vec::new()));
    };
    let (layer, notes) = picture::layer(command, file.as_ref(), |name| set(name).is_some())?;
    Ok((std::iter::once(layer).chain(layers.iter().cloned()).collect(), notes))
}

/// The options of arguments.
pub fn command<T: Args>() -> Command {
    let mut command = bare::<T>();
    command.build();
    command
}

fn bare<T: Args>() -> Command {
    T::augment_args(Command::new(layer::WHOLE).no_binary_name(true))
}

/// The whole command with all its subcommands, and options of every command in each of them.
fn built<C: CommandFactory>() -> Command {
    let mut command = C::command();
    command.build();
    command
}

/// The settings of all places for a subcommand, the strongest first.
fn places(all: &Command, subcommand: &Command) -> Result<Vec<Layer>> {
    let environment = environment::layer(subcommand, |name| std::env::var_os(name))?;
    let file = file::path()?.map(|path| file::open(&path, all)).transpose()?;
    let file = file.map(|file| file.layer(subcommand)).unwrap_or_default();
    Ok(vec![environment, file])
}
