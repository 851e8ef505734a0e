//! `--grid`: a contact sheet of the pictures that differ by one or two options.

mod axes;
mod lettering;
mod plan;
mod sheet;

use super::draw;
use super::loaded::Loaded;
use super::output::OutputOptions;
use super::parameters::with_grid;
use super::settings::{self, Layer};
use super::template::is_stdout;
use super::terminal::{complain, print, print_json, tell_once};
use super::txt2img::Arguments;
use super::wording;
use axes::Axes;
use clap::Command;
use croquis::diffusion::Generated;
use croquis::{Error, ErrorKind, Result};
use plan::{Cell, Plan};
use serde_json::{Map, Value, json};
use sheet::Sheet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Draws the pictures of a sheet and writes it. A picture that fails leaves its place empty, and the
/// exit status says so.
pub fn run(
    axes: &str,
    arguments: &Arguments,
    mut explicit: Layer,
    layers: &[Layer],
) -> Result<ExitCode> {
    let started = Instant::now();
    if arguments.noise.count != 1 {
        let message = "--count: expected 1 with --grid; --grid \"seed=1,2,3\" draws several seeds";
        return Err(Error::new(ErrorKind::Argument, message));
    }
    let command = settings::command::<Arguments>();
    let parsed = Axes::parse(axes, &command)?;
    // All pictures have the same seed, and read the same prompt.
    let seed = arguments.noise.seeds()?[0];
    let mut set = |name, value: Value| {
        let set = explicit.set(&command, name, &value, "command line");
        set.map_err(|problem| Error::new(ErrorKind::Argument, problem))
    };
    set("seed", seed.into())?;
    if arguments.prompt.as_deref() == Some("-") {
        set("prompt", wording::standard_input()?.into())?;
    }
    let output = &arguments.output;
    let file = output.files(&[seed])?.remove(0);
    let files = match arguments.grid.grid_cells {
        true => output.numbered(&file, parsed.len())?,
        false => Vec::new(),
    };
    tell_once();
    let plan = Plan::new(&parsed, &command, &explicit, layers)?;
    let sheet = Sheet::new(&parsed, plan.size, output.longest_side(&file)?)?;
    let mut drawing = Drawing {
        axes: &parsed,
        command: &command,
        output,
        files,
        loaded: Loaded::default(),
        sheet,
        cells: vec![Value::Null; parsed.len()],
        notes: Vec::new(),
        settings: None,
        failed: None,
    };
    for &index in &plan.order {
        drawing.draw(index, &plan.cells[index])?;
    }
    drawing.finish(axes, &file, started)
}

/// A sheet that is being drawn.
struct Drawing<'a> {
    axes: &'a Axes,
    command: &'a Command,
    output: &'a OutputOptions,
    /// The files of the pictures, if they are saved.
    files: Vec<PathBuf>,
    loaded: Loaded,
    sheet: Sheet,
    /// What is reported of each picture.
    cells: Vec<Value>,
    notes: Vec<String>,
    /// The first picture that was drawn, and the text of its settings.
    settings: Option<(usize, String)>,
    /// The first error.
    failed: Option<Error>,
}

impl Drawing<'_> {
    /// Draws a picture and puts it in its place.
    fn draw(&mut self, index: usize, cell: &Cell) -> Result<()> {
        let started = Instant::now();
        let name = self.axes.name(index);
        let place = self.axes.place(index);
        let mut report = json!({
            "column": place[0],
            "row": place[1],
            "settings": self.values(index),
            "seed": cell.seed,
        });
        match self.generate(index, cell) {
            Ok((generated, settings)) => {
                draw::tell(&generated, &name, started.elapsed());
                report["seconds"] = started.elapsed().as_secs_f64().into();
                if let Some(file) = self.files.get(index) {
                    report["file"] = file.display().to_string().into();
                    self.tell_file(file)?;
                }
                self.sheet.put(place, &generated.picture);
                let new = |note: &String| !self.notes.contains(note);
                let new: Vec<_> = generated.notes.into_iter().filter(new).collect();
                self.notes.extend(new);
                if self.settings.as_ref().is_none_or(|(first, _)| index < *first) {
                    self.settings = Some((index, settings));
                }
            }
            Err(error) => {
                if error.kind() == ErrorKind::Device {
                    self.loaded.forget(); // the next picture tries another time
                }
                let error = error.context(name);
                complain(format!("error: {error}"));
                report["error"] = draw::problem(&error);
                self.sheet.fail(place);
                self.failed.get_or_insert(error);
            }
        }
        self.cells[index] = report;
        Ok(())
    }

    /// Generates a picture and saves it, if it has a file.
    fn generate(&mut self, index: usize, cell: &Cell) -> Result<(Generated, String)> {
        let Cell { arguments, wording, settings, seed } = cell;
        let (mut request, models) =
            self.loaded.request(self.command, settings, arguments, wording)?;
        request.seed = *seed;
        let loras = arguments.additions.noted_loras(&wording.loras);
        let (generated, settings) = draw::picture(models, &request, self.output, &loras)?;
        if let Some(file) = self.files.get(index) {
            self.output.save(&generated.picture, file, &settings)?;
        }
        Ok((generated, settings))
    }

    /// The values of a picture's axes.
    fn values(&self, index: usize) -> Map<String, Value> {
        let [column, row] = self.axes.place(index);
        let axes = [(Some(&self.axes.columns), column), (self.axes.rows.as_ref(), row)];
        let value = |(axis, at): (Option<&axes::Axis>, usize)| {
            let axis = axis?;
            Some((axis.option.clone(), axis.values[at].text.clone().into()))
        };
        axes.into_iter().filter_map(value).collect()
    }

    /// Writes the sheet and reports it.
    fn finish(self, axes: &str, file: &Path, started: Instant) -> Result<ExitCode> {
        let Some((_, settings)) = self.settings else {
            let nothing = || Error::new(ErrorKind::Argument, "--grid: expected pictures, got none");
            return Err(self.failed.unwrap_or_else(nothing));
        };
        let picture = self.sheet.picture()?;
        self.output.save(&picture, file, &with_grid(&settings, axes))?;
        if self.output.json {
            let shown = |file: &Path| Value::from(file.display().to_string());
            let saved = self.cells.iter().filter_map(|cell| cell.get("file").cloned());
            let report = json!({
                "files": std::iter::once(shown(file)).chain(saved).collect::<Vec<_>>(),
                "size": [picture.width(), picture.height()],
                "grid": { "axes": axes, "cells": self.cells },
                "seconds": { "total": started.elapsed().as_secs_f64() },
                "notes": self.notes,
            });
            print_json(&match self.loaded.models() {
                Some(models) => draw::with_device(&models.first, report),
                None => report,
            })?;
        } else if !is_stdout(file) {
            print(file.display())?;
        }
        Ok(if self.failed.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Prints the name of a picture's file.
    fn tell_file(&self, file: &Path) -> Result<()> {
        if self.output.json { Ok(()) } else { print(file.display()) }
    }
}
