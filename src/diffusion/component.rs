//! One component of a model: its weights in the file and on the GPU, and its programs.

use crate::error::Result;
use crate::gpu::{Gpu, GpuWeights, Link, Program};
use crate::graph::{Graph, Plan};
use crate::weights::Weights;
use std::sync::Arc;

/// How many programs are kept: encoder and decoder, or both phases of the denoiser.
const PROGRAMS: usize = 2;

/// A component whose latest programs are kept by `Key`, the sizes they were made for.
pub(super) struct Component<Key> {
    pub weights: Weights,
    uploaded: GpuWeights,
    programs: Vec<(Key, Arc<Program>)>,
}

impl<Key: PartialEq> Component<Key> {
    pub(super) fn new(weights: Weights) -> Self {
        Component { weights, uploaded: GpuWeights::default(), programs: Vec::new() }
    }

    /// Forgets what is on the GPU.
    pub(super) fn unload(&mut self) {
        self.uploaded = GpuWeights::default();
        self.programs.clear();
    }

    /// What there are programs for.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.programs.iter().map(|(key, _)| key)
    }

    /// Forgets the programs whose key is not wanted any more; weights stay.
    pub(super) fn retain(&mut self, wanted: impl Fn(&Key) -> bool) {
        self.programs.retain(|(key, _)| wanted(key));
    }

    /// Bytes of GPU memory: weights and the buffers of the programs.
    pub(super) fn bytes(&self) -> u64 {
        let programs = self.programs.iter().map(|(_, program)| program.bytes());
        self.uploaded.bytes() + programs.sum::<u64>()
    }

    /// The program for `key` if it is still there.
    pub(super) fn program(&self, key: &Key) -> Option<Arc<Program>> {
        self.programs.iter().find(|(known, _)| known == key).map(|(_, program)| program.clone())
    }

    /// Plans a graph, uploads the weights it needs, compiles it and keeps the program in place of
    /// the oldest one.
    pub(super) async fn compile(
        &mut self,
        gpu: &Gpu,
        key: Key,
        graph: &Graph,
        links: &[Link<'_>],
    ) -> Result<Arc<Program>> {
        let plan = Plan::new(graph, gpu.target())?;
        if self.programs.len() == PROGRAMS {
            self.programs.remove(0);
        }
        self.uploaded.upload(gpu, &self.weights, &plan.weights).await?;
        let program = Arc::new(Program::new(gpu, plan, &self.uploaded, links).await?);
        self.programs.push((key, program.clone()));
        Ok(program)
    }
}
