//! `croquis batch`: draws the requests of a file, one a line, and prints a result for each.

mod lines;
mod results;

use super::draw;
use super::loaded::Loaded;
use super::settings::{self, Layer};
use super::template::{is_stdout, numbered};
use super::terminal::{note, print_json};
use super::txt2img;
use clap::Command;
use clap::builder::Resettable;
use croquis::{Error, ErrorKind, Result};
use lines::Lines;
use results::Results;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// The arguments of `croquis batch`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
// Lines have the prompts, and complete what an option of the command line may lack.
#[command(mut_arg("prompt", |arg| arg.hide(true).required_unless_present(Resettable::Reset)))]
#[command(mut_arg("json", |arg| arg.hide(true)))]
#[command(mut_arg("grid", |arg| arg.hide(true)))]
#[command(mut_arg("grid_cells", |arg| arg.hide(true)))]
#[command(mut_args(|arg| arg.requires(Resettable::Reset)))]
pub struct Arguments {
    /// The requests: on each line a JSON object of long option names, `prompt` among them, and their
    /// values; `-` is standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// A file that keeps the results; lines that it has as done are skipped, so that a batch that was
    /// interrupted goes on
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    results: Option<PathBuf>,
    /// Options for all lines; those of a line override them
    #[command(flatten)]
    options: txt2img::Arguments,
}

const EXAMPLES: &str = "\
Examples:
  croquis batch requests.jsonl -m stable-diffusion-v1-5 --steps 20
  croquis batch requests.jsonl --results results.jsonl
  echo '{\"prompt\": \"a blue heart\", \"seed\": 42, \"output\": \"heart.png\"}' | croquis batch -";

/// Draws all lines; the exit status says whether all succeeded.
pub fn run(arguments: &Arguments, explicit: Layer, layers: Vec<Layer>) -> Result<ExitCode> {
    let mut results = arguments.results.as_deref().map(Results::open).transpose()?;
    let mut batch = Batch {
        command: settings::command::<txt2img::Arguments>(),
        explicit,
        layers,
        loaded: Loaded::default(),
        written: BTreeMap::new(),
    };
    let (mut failed, mut skipped) = (0, 0);
    for line in Lines::open(&arguments.file)? {
        let (number, text) = line?;
        let read = lines::object(text);
        let request = read.as_ref().map_or(Value::Null, Clone::clone);
        if let Some(files) = results.as_ref().and_then(|results| results.files(number, &request)) {
            batch.written.extend(files.into_iter().map(|file| (file, number)));
            skipped += 1;
            continue;
        }
        let mut result = match read.and_then(|request| batch.draw(number, &request)) {
            Ok(result) => result,
            Err(error) => {
                failed += 1;
                json!({ "error": draw::problem(&error) })
            }
        };
        result["line"] = number.into();
        result["request"] = request;
        if let Some(results) = &mut results {
            results.add(&result)?;
        }
        print_json(&result)?;
    }
    match skipped {
        0 => {}
        1 => note("1 line was done already"),
        lines => note(format!("{lines} lines were done already")),
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What lines have in common, and the model that stays loaded between them.
struct Batch {
    /// The command whose options a line has.
    command: Command,
    explicit: Layer,
    layers: Vec<Layer>,
    loaded: Loaded,
    /// The lines that wrote files.
    written: BTreeMap<PathBuf, usize>,
}

impl Batch {
    /// Draws the pictures of a line and returns its result.
    fn draw(&mut self, number: usize, request: &Value) -> Result<Value> {
        let started = Instant::now();
        let (arguments, settings, told) = self.arguments(number, request)?;
        told.iter().for_each(note);
        let seeds = arguments.noise.seeds()?;
        let files = arguments.output.files(&seeds)?;
        for file in &files {
            if is_stdout(file) {
                let message = "output: expected a file, since results go to standard output";
                return Err(Error::new(ErrorKind::Argument, message));
            }
            if let Some(line) = self.written.get(file) {
                let file = file.display();
                let message = format!(
                    "output: expected a file of this line, got {file}, which line {line} wrote"
                );
                return Err(Error::new(ErrorKind::Argument, message));
            }
        }
        if arguments.prompt.as_deref() == Some("-") {
            let message = "prompt: expected a text, got `-`: a batch does not read prompts from \
                           standard input";
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let wording = arguments.wording()?;
        let (request, models) =
            self.loaded.request(&self.command, &settings, &arguments, &wording)?;
        let drawn = draw::series(
            models,
            request,
            files.into_iter().zip(seeds),
            &arguments.output,
            &arguments.additions.noted_loras(&wording.loras),
            |_| Ok(()),
        );
        if drawn.as_ref().is_err_and(|error| error.kind() == ErrorKind::Device) {
            self.loaded.forget(); // the next line tries another time
        }
        let drawn = drawn?;
        self.written.extend(drawn.iter().map(|drawn| (drawn.file.clone(), number)));
        Ok(json!({
            "files": drawn.iter().map(|drawn| drawn.file.display().to_string()).collect::<Vec<_>>(),
            "seeds": drawn.iter().map(|drawn| drawn.generated.seed).collect::<Vec<_>>(),
            "seconds": started.elapsed().as_secs_f64(),
            "notes": told.iter().chain(drawn.iter().flat_map(|drawn| &drawn.generated.notes)).collect::<Vec<_>>(),
        }))
    }

    /// The arguments of a line, all settings that they come from, and notes about them.
    fn arguments(
        &self,
        number: usize,
        request: &Value,
    ) -> Result<(txt2img::Arguments, Layer, Vec<String>)> {
        let mut own = Layer::default();
        for (name, value) in
            request.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null())
        {
            let failed = |problem| Error::new(ErrorKind::Argument, problem);
            own.set(&self.command, name, value, "line").map_err(failed)?;
        }
        let all = own.over_all(&self.command, &self.explicit, &self.layers);
        let is_empty = |value: &String| value.trim().is_empty();
        if all.get("grid").is_some_and(|grid| !grid.values.iter().all(is_empty)) {
            let message = "grid: a batch draws no contact sheets; expected a line for each picture";
            return Err(Error::new(ErrorKind::Argument, message));
        }
        if own.get("output").is_none() {
            let shared = all.get("output").and_then(|output| output.values.first());
            let shared = shared.map_or("picture.png", String::as_str);
            let output = numbered(shared.as_ref(), number).display().to_string();
            let set = own.set(&self.command, "output", &output.into(), "line");
            set.map_err(|problem| Error::new(ErrorKind::Argument, problem))?;
        }
        let explicit = own.over(&self.command, &self.explicit);
        let (arguments, notes) = settings::read(&explicit, &self.layers)?;
        Ok((arguments, all, notes))
    }
}
