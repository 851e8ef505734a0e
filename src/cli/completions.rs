//! `croquis completions`: prints a script with which a shell completes commands and options.

use super::terminal::print;
use clap::CommandFactory;
use clap_complete::Shell;
use croquis::{Error, ErrorKind, Result};

/// The arguments of `croquis completions`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  croquis completions bash > ~/.local/share/bash-completion/completions/croquis
  croquis completions zsh > ~/.zfunc/_croquis
  croquis completions fish > ~/.config/fish/completions/croquis.fish";

/// Prints the script for the command `C`.
pub fn run<C: CommandFactory>(arguments: &Arguments) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut C::command(), "croquis", &mut script);
    let script = String::from_utf8(script).map_err(|error| {
        Error::new(ErrorKind::Io, "the script is not UTF-8 text").with_source(error)
    })?;
    print(script.trim_end())
}
