//! [`Repository`]: the name of a model on the hub.

use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::str::FromStr;

/// A repository on the hub and its revision: `org/name`, or `org/name@revision` with a branch, a
/// tag or a commit (`main` by default). Or a single-file model in it, `org/name/file.safetensors`,
/// also in folders and with a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    name: String,
    file: Option<String>,
    revision: String,
}

impl Repository {
    /// The repository's name: `org/name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of the single-file model in the repository, if the name has one.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The branch, tag or commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }
}

/// Whether a part of a name is safe as a file name; it becomes one in the cache.
pub(super) fn is_plain(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=128).contains(&part.len()) && !part.starts_with('.') && part.chars().all(allowed)
}

impl FromStr for Repository {
    type Err = Error;

    /// # Errors
    /// `Argument` if it is not `org/name`, `org/name/file.safetensors` or `org/name/file.gguf`,
    /// with or without `@revision`.
    fn from_str(text: &str) -> Result<Self> {
        let (path, revision) = text.split_once('@').unwrap_or((text, "main"));
        let parts: Vec<&str> = path.split('/').collect();
        let plain =
            parts.iter().chain(&revision.split('/').collect::<Vec<_>>()).all(|p| is_plain(p));
        let (name, file) = match parts.as_slice() {
            // Two parts that end like a model file are a path that does not exist, not `org/name`.
            [_, name] if !is_model(name) => (path.to_string(), None),
            [organisation, name, file @ ..] if is_model(path) => {
                (format!("{organisation}/{name}"), Some(file.join("/")))
            }
            _ => (String::new(), None),
        };
        if name.is_empty() || !plain {
            let message = format!(
                "name of a model: expected org/name, org/name/file.safetensors or \
                 org/name/file.gguf, each with or without @revision, of letters, digits, '-', '_' \
                 and '.', got {text:?}"
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(Repository { name, file, revision: revision.into() })
    }
}

/// Whether a file's extension is that of a single-file model.
pub(super) fn is_model(file: &str) -> bool {
    [".safetensors", ".gguf"].iter().any(|end| file.ends_with(end))
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(file) = &self.file {
            write!(f, "/{file}")?;
        }
        match self.revision.as_str() {
            "main" => Ok(()),
            revision => write!(f, "@{revision}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_two_parts_and_a_revision() {
        for (text, name, revision) in [
            ("org/name", "org/name", "main"),
            ("stabilityai/sdxl-turbo@fp16", "stabilityai/sdxl-turbo", "fp16"),
            ("a/b_c.d-1@refs/pr/3", "a/b_c.d-1", "refs/pr/3"),
        ] {
            let repository: Repository = text.parse().unwrap();
            assert_eq!((repository.name(), repository.revision()), (name, revision));
            assert_eq!(repository.to_string(), text);
        }
    }

    #[test]
    fn one_file_of_a_repository() {
        for (text, file, revision) in [
            ("org/name/model.safetensors", "model.safetensors", "main"),
            ("org/name/gguf/model-q8_0.gguf@refs/pr/3", "gguf/model-q8_0.gguf", "refs/pr/3"),
        ] {
            let repository: Repository = text.parse().unwrap();
            assert_eq!((repository.name(), repository.file()), ("org/name", Some(file)));
            assert_eq!(repository.revision(), revision);
            assert_eq!(repository.to_string(), text);
        }
    }

    #[test]
    fn paths_are_no_names() {
        let paths = [
            "name",
            "a/b/c",
            "a/b/c.ckpt",
            "a/b/../c.gguf",
            "a/b/.safetensors",
            "a/b/c.gguf/d",
            "/a",
            "./a",
            "../a",
            "a/..",
            "a/b@",
            "a/b@../c",
            "a b/c",
            "",
        ];
        for text in paths {
            let error = text.parse::<Repository>().unwrap_err();
            assert!(error.to_string().contains("expected org/name"), "{text}: {error}");
        }
    }
}
