//! The memory that a picture takes on a device, known before anything is allocated.
//!
//! All buffers are counted: weights, inputs, outputs and intermediate results of the programs, and
//! the staging memory through which weights and inputs go to the device and results come back. Not
//! counted are the driver's own allocations (compiled pipelines, command buffers, descriptors),
//! and the allocator's loss from taking memory from the driver in blocks of 8 to 64 MiB.
//!
//! The host needs less: weights are converted from their file straight into the staging
//! memory, so that it holds only the latents, the picture, the tokenizer's tables, low-rank
//! patches and the plans. What the system keeps of the files in its cache it takes back when it
//! wants to.

use super::bytes::Bytes;
use crate::error::{Error, ErrorKind, Result};
use crate::gpu::{buffer_bytes, staging_bytes};
use crate::graph::{Plan, Port};
use crate::shape::TensorType;
use std::collections::{BTreeSet, HashSet};

/// The memory that one stage of a picture needs at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// `text`, `image encoder`, `encoder`, `denoiser` or `decoder`.
    pub name: &'static str,
    /// Bytes of weights.
    pub weights: u64,
    /// Bytes of all other buffers: inputs, outputs, intermediate results, parameters.
    pub activations: u64,
    /// The most bytes of staging memory for transfers to or from the device at once.
    pub staging: u64,
}

impl Stage {
    /// Bytes in all.
    pub fn bytes(&self) -> u64 {
        self.resident() + self.staging
    }

    /// Bytes allocated for as long as the stage is loaded.
    pub fn resident(&self) -> u64 {
        self.weights + self.activations
    }

    /// A stage of several programs that live together. Those of one component share weights of the
    /// same name, and inputs that an earlier one computes are not allocated again.
    pub fn of<'p>(
        name: &'static str,
        plans: impl IntoIterator<Item = (&'p str, &'p Plan)>,
    ) -> Stage {
        let mut stage = Stage { name, weights: 0, activations: 0, staging: 0 };
        let (mut uploaded, mut computed) = (BTreeSet::new(), HashSet::new());
        for (component, plan) in plans {
            let bytes = |tensor: TensorType| tensor.bytes(plan.target.storage).next_multiple_of(16);
            let new: Vec<_> = plan
                .weights
                .iter()
                .filter(|weight| uploaded.insert((component, weight.key())))
                .collect();
            let own = |port: &&Port| !computed.contains(&port.name);
            let written = plan.inputs.iter().filter(own).map(|port| bytes(port.tensor)).sum();
            let read = plan.outputs.iter().map(|port| bytes(port.tensor)).max().unwrap_or(0);
            stage.weights +=
                new.iter().map(|weight| weight.bytes().next_multiple_of(16)).sum::<u64>();
            stage.activations += buffer_bytes(plan, |port| computed.contains(&port.name));
            stage.staging = stage.staging.max(staging_bytes(new)).max(written).max(read);
            computed.extend(plan.outputs.iter().map(|port| &port.name));
        }
        stage
    }

    /// Checks that the stage fits within a budget.
    ///
    /// # Errors
    /// `Memory` with numbers.
    pub fn fit(&self, budget: u64) -> Result<()> {
        if self.bytes() <= budget {
            return Ok(());
        }
        let message = format!(
            "the {} needs {} ({} of weights, {} of activations, {} to transfer them), and the memory \
             budget is {}",
            self.name,
            Bytes(self.bytes()),
            Bytes(self.weights),
            Bytes(self.activations),
            Bytes(self.staging),
            Bytes(budget),
        );
        Err(Error::new(ErrorKind::Memory, message))
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
        let staging = self.stages.iter().map(|stage| stage.staging).max().unwrap_or(0);
        self.stages.iter().map(Stage::resident).sum::<u64>() + staging
    }

    /// Bytes when each stage gives its memory back before the next one begins.
    pub fn in_turn(&self) -> u64 {
        self.stages.iter().map(Stage::bytes).max().unwrap_or(0)
    }

    /// Whether the components have to take turns within a budget.
    ///
    /// # Errors
    /// `Memory`, with numbers, if even the largest stage alone does not fit.
    pub fn fit(&self, budget: u64) -> Result<bool> {
        if let Some(largest) = self.stages.iter().max_by_key(|stage| stage.bytes()) {
            largest.fit(budget)?;
        }
        Ok(self.together() > budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> MemoryPlan {
        let stage = |name, weights: u64, activations: u64, staging: u64| {
            let [weights, activations, staging] = [weights, activations, staging].map(|n| n << 20);
            Stage { name, weights, activations, staging }
        };
        MemoryPlan {
            stages: vec![
                stage("text", 200, 1, 64),
                stage("denoiser", 1700, 300, 72),
                stage("decoder", 100, 900, 30),
            ],
        }
    }

    #[test]
    fn what_does_not_fit_together_takes_turns() {
        assert_eq!(plan().together(), (201 + 2000 + 1000 + 72) << 20);
        assert_eq!(plan().in_turn(), 2072 << 20);
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
        let parts = ["denoiser needs 2.02 GiB", "1.66 GiB of weights", "72.0 MiB to transfer them"];
        for part in parts.iter().chain(&["budget is 2.02 GiB"]) {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
