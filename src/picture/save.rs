//! Saving pictures: a file gets its new contents as a whole or not at all.

use super::{Format, Picture};
use crate::error::{Error, ErrorKind, Result};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The most symbolic links in a row that are followed.
const MAX_LINKS: usize = 40;

impl Picture {
    /// Writes a file in the format of its extension; see [`Format::of`] and
    /// [`encode`](Picture::encode). An existing file keeps its permissions, and is replaced at once
    /// when the new contents are complete: its readers see either the old or the new picture, also
    /// if several threads or processes save it. The new contents are first written to a file of a
    /// random name (`.croquis-…`) in the same folder, which is removed if anything fails; it stays
    /// behind only where a signal ends the process meanwhile. Symbolic links are followed, pipes
    /// and devices are written to.
    ///
    /// # Errors
    /// `Argument` for another extension, or from [`encode`](Picture::encode); `Io` naming the path.
    pub fn save(&self, path: impl AsRef<Path>, texts: &[(&str, &str)]) -> Result<()> {
        let path = path.as_ref();
        self.save_as(path, Format::of(path)?, texts)
    }

    /// [`save`](Picture::save) in a format, whatever the file's name says.
    ///
    /// # Errors
    /// As [`save`](Picture::save).
    pub fn save_as(
        &self,
        path: impl AsRef<Path>,
        format: Format,
        texts: &[(&str, &str)],
    ) -> Result<()> {
        let path = path.as_ref();
        let bytes = self.encode(format, texts)?;
        let written = match destination(path) {
            Destination::Special => fs::write(path, bytes),
            Destination::File(file) => replace(&file, &bytes),
        };
        written.map_err(|error| cannot_be_written(path, error))
    }
}

/// Checks that a picture can be saved under a path, before the work of making it: the name is that
/// of a file and not too long, its folder exists and takes new files, and an existing file can be
/// written. Nothing is changed.
///
/// # Errors
/// `Io`, saying what is wrong with the path.
pub fn check_path(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let failed = |message: String| Err(Error::new(ErrorKind::Io, message));
    if path.is_dir() || path.file_name().is_none() {
        return failed(format!(
            "expected the name of a file, got the folder {}; add a name, such as {}",
            path.display(),
            path.join("picture.png").display()
        ));
    }
    let Destination::File(file) = destination(path) else { return Ok(()) };
    let folder = folder(&file);
    if !folder.is_dir() {
        let problem = if folder.exists() { "is not a folder" } else { "does not exist" };
        return failed(format!(
            "{}: the folder {} {problem}; create it or choose another one",
            path.display(),
            folder.display()
        ));
    }
    let written = match fs::metadata(&file) {
        Ok(_) => fs::OpenOptions::new().append(true).open(&file).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error), // such as a name that is too long
    };
    let tried = written.and_then(|()| part(folder)).map(drop);
    tried.map_err(|error| cannot_be_written(path, error))
}

/// Where the contents of a path go.
enum Destination {
    /// A pipe, a device or an open file, which are written to as they are.
    Special,
    /// A file that exists or not, after symbolic links.
    File(PathBuf),
}

fn destination(path: &Path) -> Destination {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Destination::Special;
    }
    let mut file = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        // The links there lead to open files, such as /dev/stdout.
        if ["/dev", "/proc"].iter().any(|folder| file.starts_with(folder)) {
            return Destination::Special;
        }
        match fs::read_link(&file) {
            Ok(link) => file = folder(&file).join(link),
            Err(_) => break,
        }
    }
    Destination::File(file)
}

/// The folder of a file.
fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new file of a random name in a folder, which is removed unless it gets another name.
fn part(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".croquis-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666)); // less the umask, as for any file
    }
    builder.tempfile_in(folder)
}

/// Replaces a file.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut part = part(folder(file))?;
    part.write_all(bytes)?;
    if let Ok(old) = fs::metadata(file) {
        part.as_file().set_permissions(old.permissions())?;
    }
    part.persist(file).map(drop).map_err(|error| error.error)
}

fn cannot_be_written(path: &Path, error: io::Error) -> Error {
    let message = format!("{} cannot be written", path.display());
    Error::new(ErrorKind::Io, message).with_source(error)
}
