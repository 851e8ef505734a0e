//! The output files: options, names, and a check that they can be written.

use super::signals;
use croquis::Result;
use croquis::picture::{Format, Picture, check_path};
use std::path::{Path, PathBuf};

/// Options for the files that are written and what is printed.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// The file to write: PNG, JPEG or WebP by its extension; an existing one is replaced
    #[arg(short, long, value_name = "FILE", default_value = "picture.png")]
    output: PathBuf,
    /// A file for a preview, rewritten in every step
    #[arg(long, value_name = "FILE")]
    preview: Option<PathBuf>,
    /// Print one line of JSON: files, seeds, settings, timings, memory
    #[arg(long)]
    pub json: bool,
}

impl OutputOptions {
    /// The names for `count` pictures. All files, that of the preview too, can be written.
    pub fn files(&self, count: u32) -> Result<Vec<PathBuf>> {
        let files = names(&self.output, count);
        let checked = files.iter().try_for_each(|file| check(file));
        checked.map_err(|error| error.context("--output"))?;
        let preview = self.preview().map_or(Ok(()), check);
        preview.map_err(|error| error.context("--preview"))?;
        Ok(files)
    }

    /// The file of the preview, if there is one.
    pub fn preview(&self) -> Option<&Path> {
        self.preview.as_deref()
    }
}

/// The names for `count` pictures: with `-1`, `-2`, … before the extension if there are several.
fn names(file: &Path, count: u32) -> Vec<PathBuf> {
    if count == 1 {
        return vec![file.into()];
    }
    (1..=count).map(|number| numbered(file, number as usize)).collect()
}

/// The name with a number before the extension.
pub fn numbered(file: &Path, number: usize) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_os_string();
    name.push(format!("-{number}"));
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    file.with_file_name(name)
}

/// Checks a file's extension, and that the file can be written.
pub fn check(file: &Path) -> Result<()> {
    Format::of(file)?;
    check_path(file)
}

/// Saves a picture, which a signal does not interrupt.
pub fn save(picture: &Picture, file: &Path, texts: &[(&str, &str)]) -> Result<()> {
    // Pipes and devices may take forever.
    let regular = std::fs::metadata(file).map_or(true, |there| there.is_file());
    let _completed = regular.then(signals::saving);
    picture.save(file, texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_pictures_are_numbered() {
        let named = |file: &str, count| -> Vec<String> {
            names(Path::new(file), count).iter().map(|name| name.display().to_string()).collect()
        };
        assert_eq!(named("a/b.c.png", 1), ["a/b.c.png"]);
        assert_eq!(named("a/b.c.png", 2), ["a/b.c-1.png", "a/b.c-2.png"]);
        assert_eq!(named("picture", 2), ["picture-1", "picture-2"]);
    }
}
