//! The command line: commands, their output, and the reporting of errors.
//!
//! Results go to standard output, everything else to standard error. The exit status is 0, 1 for
//! a failure, 2 for a wrong use.

mod additions;
mod batch;
mod completions;
mod control;
mod devices;
mod doctor;
mod draw;
mod folders;
mod grid;
mod hints;
mod hires;
mod hub;
mod inspect;
mod ip_adapter;
mod latents;
mod loaded;
mod lora_dir;
mod model_hash;
mod options;
mod output;
mod parameters;
mod plan;
mod progress;
mod refiner;
mod resize;
mod settings;
mod signals;
mod similar;
mod size;
mod sources;
mod synth;
mod template;
mod terminal;
mod txt2img;
mod upscale;
mod wording;

use clap::{Parser, Subcommand};
use croquis::{ErrorKind, Result};
use settings::CommandLine;
use std::process::ExitCode;
use terminal::TellOptions;

#[derive(Parser)]
#[command(version, about, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    tell: TellOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generate a picture from a prompt
    Txt2img(Box<txt2img::Arguments>),
    /// Draw the requests of a file, one a line
    Batch(Box<batch::Arguments>),
    /// Enlarge a picture by an upscaling network
    Upscale(upscale::Arguments),
    /// List the GPUs of this machine, best first
    Devices(devices::Arguments),
    /// Show what a model's files hold: family, components, types, memory
    Inspect(inspect::Arguments),
    /// Print the plan of a picture: kernels, work and memory of every phase
    Plan(plan::Arguments),
    /// Check every kernel and the embedded model on this machine
    Doctor(doctor::Arguments),
    /// Show the settings in force and where each comes from
    Config(settings::Arguments),
    /// Print a script that completes the command's options in a shell
    Completions(completions::Arguments),
    /// Write a model folder with random weights, for measurements at full size
    Synth(synth::Arguments),
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    signals::install();
    let mut hint: fn(ErrorKind) -> Option<&'static str> = hints::any;
    let result = settings::command_line::<Cli>().and_then(|line| {
        line.command.tell.apply();
        line.notes.iter().for_each(terminal::note);
        hint = match &line.command.command {
            Command::Txt2img(_) | Command::Batch(_) | Command::Plan(_) => hints::drawing,
            Command::Upscale(_) => hints::upscaling,
            _ => hints::any,
        };
        run(line)
    });
    result.unwrap_or_else(|error| {
        let message = error.to_string();
        terminal::complain(format!("error: {message}"));
        // Some messages already say what to download again, what to install or what would fit.
        let told = ["again", "install", " fit"].iter().any(|word| message.contains(word));
        let general = hint(error.kind()).filter(|_| !told);
        if let Some(hint) = error.hint().or(general) {
            terminal::complain(format!("hint: {hint}"));
        }
        ExitCode::FAILURE
    })
}

fn run(line: CommandLine<Cli>) -> Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match line.command.command {
        Command::Txt2img(arguments) => match arguments.grid.axes()? {
            Some(axes) => grid::run(axes, &arguments, line.explicit, &line.layers),
            None => txt2img::run(&arguments).map(done),
        },
        Command::Batch(arguments) => batch::run(&arguments, line.explicit, line.layers),
        Command::Upscale(arguments) => upscale::run(&arguments).map(done),
        Command::Devices(arguments) => devices::run(&arguments).map(done),
        Command::Inspect(arguments) => inspect::run(&arguments).map(done),
        Command::Plan(arguments) => plan::run(&arguments).map(done),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Config(arguments) => settings::run::<Cli>(&arguments).map(done),
        Command::Completions(arguments) => completions::run::<Cli>(&arguments).map(done),
        Command::Synth(arguments) => synth::run(&arguments).map(done),
    }
}
