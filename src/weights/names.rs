//! Tensors under other names, and from several files.

use std::collections::BTreeMap;

use super::{View, Weights};
use crate::error::{Error, ErrorKind, Result};

impl Weights {
    /// These tensors and those of another file of the same component (a shard), or of another
    /// component if the names are [`prefixed`](Weights::prefixed). Where both files have metadata
    /// of the same key, the first file's stay.
    ///
    /// # Errors
    /// `Weights` if both files have a tensor of the same name.
    pub fn merge(mut self, other: Weights) -> Result<Self> {
        let first = self.files.len();
        self.files.extend(other.files);
        for (name, mut entry) in other.tensors {
            entry.file += first;
            let file = entry.file;
            if let Some(twin) = self.tensors.insert(name.clone(), entry) {
                return Err(Error::new(
                    ErrorKind::Weights,
                    format!(
                        "{name}: expected in one file, got it in {} and {}",
                        self.files[twin.file].name(),
                        self.files[file].name()
                    ),
                ));
            }
        }
        for (key, value) in other.metadata {
            self.metadata.entry(key).or_insert(value);
        }
        Ok(self)
    }

    /// The same tensors with `prefix` before every name.
    pub fn prefixed(mut self, prefix: &str) -> Weights {
        let tensors = self.tensors.into_iter();
        self.tensors = tensors.map(|(name, entry)| (format!("{prefix}{name}"), entry)).collect();
        self
    }

    /// The same tensors with `prefix` removed from the names that have it. CLIP's weights are
    /// saved with `text_model.` by transformers 4 and without it by 5: this accepts both.
    ///
    /// # Errors
    /// `Weights` if two tensors would get the same name.
    pub fn without_prefix(mut self, prefix: &str) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for (name, entry) in self.tensors {
            let short = name.strip_prefix(prefix).unwrap_or(&name).to_string();
            let file = entry.file;
            if tensors.insert(short.clone(), entry).is_some() {
                return Err(Error::new(
                    ErrorKind::Weights,
                    format!(
                        "{}: expected {short} either with or without the prefix {prefix:?}, got both",
                        self.files[file].name()
                    ),
                ));
            }
        }
        self.tensors = tensors;
        Ok(self)
    }

    /// The same tensors under other names: `map` gets each name and shape, and tells what becomes
    /// of it: nothing, one tensor, or several that are parts of it.
    ///
    /// # Errors
    /// `Weights` if two tensors would get the same name, or a view does not fit its tensor: rows
    /// that are not there, rows that do not consist of whole quantised blocks, the transpose of
    /// something that is no matrix, a part of a tensor that has patches.
    pub fn map_names(
        mut self,
        mut map: impl FnMut(&str, &[usize]) -> Vec<(String, View)>,
    ) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for (name, entry) in self.tensors {
            for (new, view) in map(&name, &entry.shape) {
                let file = self.files[entry.file].name();
                let viewed = entry.view(&view).map_err(|e| e.context(format!("{file}: {name}")))?;
                if tensors.insert(new.clone(), viewed).is_some() {
                    return Err(Error::new(
                        ErrorKind::Weights,
                        format!(
                            "{file}: {name}: expected one tensor that becomes {new}, got several"
                        ),
                    ));
                }
            }
        }
        self.tensors = tensors;
        Ok(self)
    }
}
