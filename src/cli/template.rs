//! Names of several pictures: templates with the seed and the number of a picture, or numbers
//! before the extension.

use croquis::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// Whether a file stands for standard output.
pub fn is_stdout(file: &Path) -> bool {
    file == Path::new("-")
}

/// The names of the pictures with these seeds.
pub fn names(file: &Path, seeds: &[u64]) -> Result<Vec<PathBuf>> {
    let template = file.to_str().filter(|text| text.contains(['{', '}']));
    let Some(template) = template else { return Ok(several(file, seeds.len())) };
    let expanded = |(index, seed): (usize, &u64)| expand(template, *seed, index + 1);
    let (names, varied): (Vec<_>, Vec<bool>) =
        seeds.iter().enumerate().map(expanded).collect::<Result<Vec<_>>>()?.into_iter().unzip();
    match (varied.first(), names.first()) {
        (Some(false), Some(name)) => Ok(several(Path::new(name), seeds.len())),
        _ => Ok(names.into_iter().map(PathBuf::from).collect()),
    }
}

/// The names of `count` pictures: with `-1`, `-2`, … before the extension if there are several.
fn several(file: &Path, count: usize) -> Vec<PathBuf> {
    if count == 1 {
        return vec![file.into()];
    }
    (1..=count).map(|number| numbered(file, number)).collect()
}

/// The name with a number before the extension; standard output has none.
pub fn numbered(file: &Path, number: usize) -> PathBuf {
    if is_stdout(file) {
        return file.into();
    }
    let mut name = file.file_stem().unwrap_or_default().to_os_string();
    name.push(format!("-{number}"));
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    file.with_file_name(name)
}

/// A template with `{seed}` and `{index}` replaced, and whether it has any; `{{` and `}}` are
/// brackets.
fn expand(template: &str, seed: u64, index: usize) -> Result<(String, bool)> {
    let wrong = |got: &str| {
        let message = format!(
            "--output {template}: expected {{seed}} or {{index}} in brackets, got {got:?}; a bracket \
             itself is written twice"
        );
        Err(Error::new(ErrorKind::Argument, message))
    };
    let (mut text, mut varied, mut rest) = (String::new(), false, template);
    while let Some(at) = rest.find(['{', '}']) {
        text += &rest[..at];
        let from = &rest[at..];
        let (value, length) = if from.starts_with("{{") || from.starts_with("}}") {
            (from[..1].to_string(), 2)
        } else if from.starts_with("{seed}") {
            (seed.to_string(), "{seed}".len())
        } else if from.starts_with("{index}") {
            (index.to_string(), "{index}".len())
        } else {
            return wrong(&from[..from.find('}').map_or(from.len(), |end| end + 1)]);
        };
        varied |= length > 2;
        text += &value;
        rest = &from[length..];
    }
    Ok((text + rest, varied))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(file: &str, seeds: &[u64]) -> Vec<String> {
        let names = names(Path::new(file), seeds).expect("a good template");
        names.iter().map(|name| name.display().to_string()).collect()
    }

    #[test]
    fn several_pictures_are_numbered() {
        assert_eq!(named("a/b.c.png", &[5]), ["a/b.c.png"]);
        assert_eq!(named("a/b.c.png", &[5, 6]), ["a/b.c-1.png", "a/b.c-2.png"]);
        assert_eq!(named("picture", &[5, 6]), ["picture-1", "picture-2"]);
        assert_eq!(named("{{a}}.png", &[5, 6]), ["{a}-1.png", "{a}-2.png"]);
    }

    #[test]
    fn templates_have_seed_and_index() {
        assert_eq!(named("a-{seed}-{index}.png", &[5, 6]), ["a-5-1.png", "a-6-2.png"]);
        assert_eq!(named("{index}/{{{seed}}}.png", &[5]), ["1/{5}.png"]);
        for (file, got) in [("a{name}.png", "{name}"), ("a{", "{"), ("b}c", "}"), ("é{é", "{é")]
        {
            let error = names(Path::new(file), &[1]).unwrap_err().to_string();
            assert!(error.contains(&format!("got {got:?}")), "{error}");
        }
    }
}
