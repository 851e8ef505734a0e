//! The output: options, a check that files can be written, saving.

use super::template::{is_stdout, names, numbered};
use super::{signals, terminal};
use croquis::picture::{Format, MAX_SIDE, Picture, check_path};
use croquis::{Error, ErrorKind, Result};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// The longest side of a WebP picture, whose header has 14 bits for it.
const MAX_WEBP_SIDE: usize = (1 << 14) - 1;

/// Options for the files that are written and what is printed.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// The file to write: PNG, JPEG or WebP by its extension; an existing one is replaced. {seed}
    /// and {index} stand for the seed and the number of a picture; - is standard output, as PNG
    #[arg(short, long, value_name = "FILE", default_value = "picture.png")]
    output: PathBuf,
    /// The quality of JPEG files, from 1 to 100 [default: 95]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,
    /// A file for a preview, rewritten in every step
    #[arg(long, value_name = "FILE")]
    preview: Option<PathBuf>,
    /// Leave the hash of the model's file out of the settings; it is computed once for each file
    #[arg(long)]
    no_model_hash: bool,
    /// Print one line of JSON: files, seeds, settings, timings, memory
    #[arg(long)]
    pub json: bool,
}

impl OutputOptions {
    /// The names of the pictures with these seeds. All files, that of the preview too, can be
    /// written.
    pub fn files(&self, seeds: &[u64]) -> Result<Vec<PathBuf>> {
        if let Some(file) = self.preview() {
            check(file).map_err(|error| error.context("--preview"))?;
        }
        if is_stdout(&self.output) {
            self.check_stdout(seeds.len())?;
            return Ok(vec![self.output.clone()]);
        }
        let files = names(&self.output, seeds)?;
        let check = |file: &PathBuf| self.format(file).and_then(|_| check_path(file));
        files.iter().try_for_each(check).map_err(|error| error.context("--output"))?;
        Ok(files)
    }

    /// The numbered names of several pictures beside a file, all of which can be written.
    pub fn numbered(&self, file: &Path, count: usize) -> Result<Vec<PathBuf>> {
        if is_stdout(file) {
            let message = "--grid-cells: expected --output FILE, got standard output";
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let files: Vec<_> = (1..=count).map(|number| numbered(file, number)).collect();
        files.iter().try_for_each(check).map_err(|error| error.context("--grid-cells"))?;
        Ok(files)
    }

    /// The longest side of a picture in the format of a file.
    pub fn longest_side(&self, file: &Path) -> Result<usize> {
        if is_stdout(file) {
            return Ok(MAX_SIDE);
        }
        Ok(match self.format(file)? {
            Format::WebP => MAX_SIDE.min(MAX_WEBP_SIDE),
            _ => MAX_SIDE,
        })
    }

    /// The file of the preview, if there is one.
    pub fn preview(&self) -> Option<&Path> {
        self.preview.as_deref()
    }

    /// Whether the settings have the hash of the model's file.
    pub fn model_hash(&self) -> bool {
        !self.no_model_hash
    }

    /// Saves a picture with the text of its settings, or writes it to standard output.
    pub fn save(&self, picture: &Picture, file: &Path, settings: &str) -> Result<()> {
        let texts = [("parameters", settings)];
        if is_stdout(file) {
            return terminal::print_bytes(&picture.encode(Format::Png, &texts)?);
        }
        save(picture, file, self.format(file)?, &texts)
    }

    fn format(&self, file: &Path) -> Result<Format> {
        match (Format::of(file)?, self.quality) {
            (Format::Jpeg { .. }, Some(quality)) => Ok(Format::Jpeg { quality }),
            (format, None) => Ok(format),
            (_, Some(_)) => {
                let message =
                    format!("{}: expected a name that ends in .jpg for --quality", file.display());
                Err(Error::new(ErrorKind::Argument, message))
            }
        }
    }

    /// Checks that one picture can go to standard output, and nothing else does.
    fn check_stdout(&self, count: usize) -> Result<()> {
        let problem = if count > 1 {
            format!("expected one picture, got --count {count}")
        } else if self.json {
            "expected no --json, which is printed there too".into()
        } else if self.quality.is_some() {
            "expected no --quality, since it is a PNG".into()
        } else if std::io::stdout().is_terminal() {
            "standard output is a terminal; send it to a file or a program".into()
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Argument, format!("--output -: {problem}")))
    }
}

/// Checks a file's extension, and that it can be written.
pub fn check(file: impl AsRef<Path>) -> Result<()> {
    let file = file.as_ref();
    Format::of(file)?;
    check_path(file)
}

/// Saves a picture without settings.
pub fn save_plain(picture: &Picture, file: &Path) -> Result<()> {
    save(picture, file, Format::of(file)?, &[])
}

/// Saves a picture, which a signal does not interrupt.
fn save(picture: &Picture, file: &Path, format: Format, texts: &[(&str, &str)]) -> Result<()> {
    // Pipes and devices may take forever.
    let regular = std::fs::metadata(file).map_or(true, |there| there.is_file());
    let _completed = regular.then(signals::saving);
    picture.save_as(file, format, texts)
}
