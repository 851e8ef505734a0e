//! What a picture needs of a device's memory, known before anything is allocated.

use crate::error::{Error, ErrorKind, Result};
use crate::graph::Plan;
use std::collections::BTreeMap;
use std::fmt;

/// The memory of one stage of a picture, which has to be there at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// `text`, `encoder`, `denoiser` or `decoder`.
    pub name: &'static str,
    /// Bytes of weights.
    pub weights: u64,
    /// Bytes of all other buffers.
    pub activations: u64,
}

impl Stage {
    /// Bytes in all.
    pub fn bytes(&self) -> u64 {
        self.weights + self.activations
    }

    /// A stage of several programs that live together and share weights of the same name.
    pub(super) fn of<'p>(name: &'static str, plans: impl IntoIterator<Item = &'p Plan>) -> Stage {
        let (mut weights, mut activations) = (BTreeMap::new(), 0);
        for plan in plans {
            activations += plan.activation_bytes();
            let bytes = plan.weights.iter().map(|w| (&w.name, w.tensor.bytes(plan.target.storage)));
            weights.extend(bytes);
        }
        Stage { name, weights: weights.values().sum(), activations }
    }
}

/// The memory of all stages of a picture, in the order they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The stages.
    pub stages: Vec<Stage>,
}

impl MemoryPlan {
    /// Bytes when every component stays loaded from picture to picture.
    pub fn together(&self) -> u64 {
        self.stages.iter().map(Stage::bytes).sum()
    }

    /// Bytes when each stage gives its memory back before the next one begins.
    pub fn in_turn(&self) -> u64 {
        self.stages.iter().map(Stage::bytes).max().unwrap_or(0)
    }

    /// Whether the components have to take turns within a budget.
    ///
    /// # Errors
    /// `Memory`, with numbers and what would help, if even the largest stage alone does not fit.
    pub(super) fn fit(&self, budget: u64) -> Result<bool> {
        let Some(largest) = self.stages.iter().max_by_key(|stage| stage.bytes()) else {
            return Ok(false);
        };
        if largest.bytes() > budget {
            let message = format!(
                "the {} needs {} ({} of weights, {} of activations), and the memory budget is {}; \
                 {}",
                largest.name,
                Bytes(largest.bytes()),
                Bytes(largest.weights),
                Bytes(largest.activations),
                Bytes(budget),
                match largest.activations > largest.weights {
                    true => "a smaller picture or VAE tiles need less",
                    false => "16-bit storage or a smaller model need less",
                }
            );
            return Err(Error::new(ErrorKind::Memory, message));
        }
        Ok(self.together() > budget)
    }
}

/// A number of bytes for people: `1.25 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gib, mib) = (1u64 << 30, 1u64 << 20);
        match self.0 {
            bytes if bytes >= gib => write!(f, "{:.2} GiB", bytes as f64 / gib as f64),
            bytes => write!(f, "{:.1} MiB", bytes as f64 / mib as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> MemoryPlan {
        let stage = |name, weights, activations| Stage { name, weights, activations };
        MemoryPlan {
            stages: vec![
                stage("text", 200 << 20, 1 << 20),
                stage("denoiser", 1700 << 20, 300 << 20),
                stage("decoder", 100 << 20, 900 << 20),
            ],
        }
    }

    #[test]
    fn what_does_not_fit_together_takes_turns() {
        assert_eq!(plan().fit(4 << 30).ok(), Some(false));
        assert_eq!(plan().fit(plan().together()).ok(), Some(false));
        assert_eq!(plan().fit(plan().together() - 1).ok(), Some(true));
        assert_eq!(plan().fit(plan().in_turn()).ok(), Some(true));
    }

    #[test]
    fn what_cannot_fit_is_told_with_numbers() {
        let error = plan().fit(plan().in_turn() - 1).expect_err("too small");
        assert_eq!(error.kind(), ErrorKind::Memory);
        let message = error.to_string();
        for part in ["denoiser needs 1.95 GiB", "1.66 GiB of weights", "budget is 1.95", "16-bit"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
