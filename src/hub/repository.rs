//! The name of a model on the hub.

use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::str::FromStr;

/// A repository and a state of it: `org/name`, or `org/name@revision` with a branch, a tag or a
/// commit; without one, the branch `main`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    name: String,
    revision: String,
}

impl Repository {
    /// Organisation and name: `org/name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Branch, tag or commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }
}

/// Whether a text is safe as the name of a file: it becomes one in the cache.
pub(super) fn is_plain(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=128).contains(&part.len()) && !part.starts_with('.') && part.chars().all(allowed)
}

impl FromStr for Repository {
    type Err = Error;

    /// # Errors
    /// `Argument` if it is not `org/name` or `org/name@revision`.
    fn from_str(text: &str) -> Result<Self> {
        let (name, revision) = text.split_once('@').unwrap_or((text, "main"));
        let named = name.split('/').count() == 2 && name.split('/').all(is_plain);
        let revised = revision.split('/').all(is_plain);
        if !named || !revised {
            let message = format!(
                "name of a model: expected org/name or org/name@revision, of letters, digits, \
                 '-', '_' and '.', got {text:?}"
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(Repository { name: name.into(), revision: revision.into() })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision.as_str() {
            "main" => f.write_str(&self.name),
            revision => write!(f, "{}@{revision}", self.name),
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
    fn paths_are_no_names() {
        let paths = ["name", "a/b/c", "/a", "./a", "../a", "a/..", "a/b@", "a/b@../c", "a b/c", ""];
        for text in paths {
            let error = text.parse::<Repository>().unwrap_err();
            assert!(error.to_string().contains("expected org/name"), "{text}: {error}");
        }
    }
}
