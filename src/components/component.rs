//! A component of a model: its weights in the file and on the GPU, its plans and its programs.

use crate::error::Result;
use crate::gpu::{Gpu, GpuWeights, Link, Program};
use crate::graph::{Graph, Plan};
use crate::kernels::Target;
use crate::weights::Weights;
use std::sync::{Arc, Mutex, PoisonError};

/// The number of programs that are kept: encoder and decoder, or both phases of the denoiser.
const PROGRAMS: usize = 2;

/// The number of plans that are kept. They take host memory only.
const PLANS: usize = 8;

/// A component whose latest plans and programs are kept by `Key`, the shapes they were made for.
pub(super) struct Component<Key> {
    pub weights: Weights,
    uploaded: GpuWeights,
    /// The latest last.
    plans: Mutex<Vec<(Key, Target, Arc<Plan>)>>,
    programs: Vec<(Key, Arc<Program>)>,
}

impl<Key: Clone + PartialEq> Component<Key> {
    pub(super) fn new(weights: Weights) -> Self {
        let (uploaded, plans, programs) = Default::default();
        Component { weights, uploaded, plans, programs }
    }

    /// Drops weights and programs from the GPU; plans stay.
    pub(super) fn unload(&mut self) {
        self.uploaded = GpuWeights::default();
        self.programs.clear();
    }

    /// The keys of the loaded programs.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.programs.iter().map(|(key, _)| key)
    }

    /// Drops the programs whose key is not wanted; weights and plans stay.
    pub(super) fn retain(&mut self, wanted: impl Fn(&Key) -> bool) {
        self.programs.retain(|(key, _)| wanted(key));
    }

    /// Bytes of GPU memory: weights and the buffers of the programs.
    pub(super) fn bytes(&self) -> u64 {
        let programs = self.programs.iter().map(|(_, program)| program.bytes());
        self.uploaded.bytes() + programs.sum::<u64>()
    }

    /// The plan for `key` on a target: the cached one, or a new one from `graph`.
    pub(super) fn plan(
        &self,
        key: &Key,
        target: &Target,
        graph: impl FnOnce() -> Result<Graph>,
    ) -> Result<Arc<Plan>> {
        match self.known_plan(key, target) {
            Some(plan) => Ok(plan),
            None => Ok(self.keep_plan(key, Plan::new(&graph()?, target)?)),
        }
    }

    /// The cached plan for `key` on a target.
    pub(super) fn known_plan(&self, key: &Key, target: &Target) -> Option<Arc<Plan>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let at = plans.iter().position(|(known, of, _)| known == key && of == target)?;
        let entry = plans.remove(at);
        let plan = entry.2.clone();
        plans.push(entry);
        Some(plan)
    }

    /// Caches a plan in place of the least recently used one.
    pub(super) fn keep_plan(&self, key: &Key, plan: Plan) -> Arc<Plan> {
        let plan = Arc::new(plan);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() == PLANS {
            plans.remove(0);
        }
        plans.push((key.clone(), plan.target.clone(), plan.clone()));
        plan
    }

    /// The loaded program for `key`.
    pub(super) fn program(&self, key: &Key) -> Option<Arc<Program>> {
        self.programs.iter().find(|(known, _)| known == key).map(|(_, program)| program.clone())
    }

    /// Uploads the weights that a plan needs, compiles it and keeps the program in place of the
    /// oldest one.
    pub(super) async fn compile(
        &mut self,
        gpu: &Gpu,
        key: Key,
        plan: Arc<Plan>,
        links: &[Link<'_>],
    ) -> Result<Arc<Program>> {
        if self.programs.len() == PROGRAMS {
            self.programs.remove(0);
        }
        self.uploaded.upload(gpu, &self.weights, &plan.weights).await?;
        let program = Arc::new(Program::new(gpu, plan, &self.uploaded, links).await?);
        self.programs.push((key, program.clone()));
        Ok(program)
    }
}
