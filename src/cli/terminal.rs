//! Output to standard output and standard error; either may be closed.

use croquis::{Error, ErrorKind, Result};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{ErrorKind as IoErrorKind, Write, stderr, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Options of every command for what is told on standard error.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
pub struct TellOptions {
    /// Print errors and results only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print what the library does; twice, also every submission to the GPU
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

static QUIET: AtomicBool = AtomicBool::new(false);

impl TellOptions {
    /// Applies the options to this process: messages, progress bars, and the library's log records.
    pub fn apply(&self) {
        QUIET.store(self.quiet, Ordering::Relaxed);
        let level = match self.verbose {
            0 if self.quiet => LevelFilter::Off,
            0 => LevelFilter::Warn,
            1 => LevelFilter::Debug,
            _ => LevelFilter::Trace,
        };
        if log::set_logger(&Records).is_ok() {
            log::set_max_level(level);
        }
    }
}

/// Whether errors and results only are told.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// The log records of the library, told on standard error.
struct Records;

impl Log for Records {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("croquis")
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        match record.level() {
            Level::Error | Level::Warn => complain(format!("warning: {}", record.args())),
            _ => complain(format!("{}: {}", record.target(), record.args())),
        }
    }

    fn flush(&self) {}
}

/// Prints a message for the user to standard error, unless it is to be quiet. A closed standard
/// error is not an error.
pub fn say(line: impl Display) {
    let line = line.to_string();
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let new = told.as_mut().is_none_or(|told| told.insert(line.clone()));
    if new && !is_quiet() {
        complain(line);
    }
}

/// The lines that were told, once each line is told once.
static TOLD: Mutex<Option<BTreeSet<String>>> = Mutex::new(None);

/// From now on tells a line that comes again only once, for work that repeats.
pub fn tell_once() {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
}

/// Prints a note for the user, as [`say`] does.
pub fn note(line: impl Display) {
    say(format!("note: {line}"));
}

/// Prints a message to standard error in any case.
pub fn complain(line: impl Display) {
    let _ = writeln!(stderr().lock(), "{line}");
}

/// Prints a line of the result to standard output. A reader that closes the pipe is not an error.
pub fn print(line: impl Display) -> Result<()> {
    print_bytes(format!("{line}\n").as_bytes())
}

/// Prints bytes to standard output, as [`print`] does.
pub fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != IoErrorKind::BrokenPipe => {
            let message = "standard output cannot be written";
            Err(Error::new(ErrorKind::Io, message).with_source(error))
        }
        _ => Ok(()),
    }
}

/// Prints a value as one line of JSON to standard output.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let line = serde_json::to_string(value).map_err(|error| {
        Error::new(ErrorKind::Io, "the result cannot be written as JSON").with_source(error)
    })?;
    print(line)
}
