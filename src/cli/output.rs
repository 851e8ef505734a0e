//! The output files: options, names, and a check that they can be written.

use super::terminal::note;
use croquis::{Error, ErrorKind, Result};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

/// Options for the files that are written and what is printed.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// The PNG file to write; an existing one is replaced
    #[arg(short, long, value_name = "FILE", default_value = "picture.png")]
    output: PathBuf,
    /// A PNG file for a preview, rewritten in every step
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
        if self.output.extension().is_some_and(|end| !end.eq_ignore_ascii_case("png")) {
            note("the file will be a PNG, whatever its name says");
        }
        let preview = self.preview().map(check).unwrap_or(Ok(()));
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

/// Checks that a file can be written, before minutes of work. An existing file stays as it is.
pub fn check(file: &Path) -> Result<()> {
    let shown = file.display();
    let failed = |message: String| Err(Error::new(ErrorKind::Io, message));
    if file.is_dir() || file.file_name().is_none() {
        return failed(format!(
            "expected the name of a file, got the folder {shown}; add a name, such as {}",
            file.join("picture.png").display()
        ));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let problem = if folder.exists() { "is not a folder" } else { "does not exist" };
        return failed(format!(
            "{shown}: the folder {} {problem}; create it or choose another one",
            folder.display()
        ));
    }
    // Pipes and devices are not opened, which could have effects. For a new file the folder is
    // tested with a temporary name, so that no other process' file is removed.
    let tried = match fs::metadata(file) {
        Ok(there) if !there.is_file() => Ok(()),
        Ok(_) => OpenOptions::new().append(true).open(file).map(drop),
        Err(_) => {
            let probe = file.with_file_name(format!(".croquis-{}", std::process::id()));
            let created = OpenOptions::new().write(true).create_new(true).open(&probe);
            created.and_then(|_| fs::remove_file(&probe))
        }
    };
    tried.map_err(|error| {
        let message = format!("{shown} cannot be written; choose another file");
        Error::new(ErrorKind::Io, message).with_source(error)
    })
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
