//! [`Denoiser`]: a network with its weights, plans and programs on a device.

use super::control::ControlNet;
use super::graph;
use crate::components::component::Component;
use crate::error::{Error, ErrorKind, Result};
use crate::families::Family;
use crate::files::ModelFiles;
use crate::gpu::{Gpu, Link, Program};
use crate::graph::Plan;
use crate::kernels::Target;
use crate::lora::Patches;
use crate::models::network::{CONTROL_PREFIX, DenoiserShape, Network, NetworkFacts, RequestValues};
use crate::weights::View;
use std::sync::Arc;

/// The denoiser of a model.
pub struct Denoiser {
    folder: &'static str,
    network: Box<dyn Network>,
    facts: NetworkFacts,
    has_control: bool,
    /// Whether weights of the ControlNet may be on the GPU.
    uploaded_control: bool,
    component: Component<(DenoiserShape, Phase)>,
}

/// One of the denoiser's two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Prepare,
    Step,
}

/// The plans of both phases.
#[derive(Clone)]
pub struct DenoiserPlans {
    /// The plan that runs once per request.
    pub prepare: Arc<Plan>,
    /// The plan that runs in every step.
    pub step: Arc<Plan>,
}

/// The programs of both phases.
#[derive(Clone)]
pub struct Programs {
    /// The program that runs once per request.
    pub prepare: Arc<Program>,
    /// The program that runs in every step.
    pub step: Arc<Program>,
}

impl Denoiser {
    /// Reads the configuration and the weight headers in the family's folder.
    ///
    /// # Errors
    /// `NotFound`, `Format`, `Config`, `Unsupported` or `Weights`, naming file and key.
    pub fn open(family: &Family, files: &ModelFiles) -> Result<Denoiser> {
        let file = format!("{}/config.json", family.folder);
        let network = (family.network)(&file, &files.text(&file)?)?;
        let facts = network.facts();
        for (key, value) in [("sample_size", facts.sample_size), ("out_channels", facts.channels)] {
            if !(1..=4096).contains(&value) {
                let message = format!("{file}: {key}: expected 1 to 4096, got {value}");
                return Err(Error::new(ErrorKind::Config, message));
            }
        }
        let component = Component::new(files.weights(family.folder)?);
        let (has_control, uploaded_control) = (false, false);
        let folder = family.folder;
        Ok(Denoiser { folder, network, facts, has_control, uploaded_control, component })
    }

    /// The folder of the network in diffusers' layout, such as `unet`.
    pub fn folder(&self) -> &'static str {
        self.folder
    }

    /// Facts about the network.
    pub fn facts(&self) -> NetworkFacts {
        self.facts
    }

    /// Values of the inputs that only this network has; see [`Network::values`].
    pub fn values(&self, request: &RequestValues) -> Vec<(&'static str, Vec<f32>)> {
        self.network.values(request)
    }

    /// Adds a ControlNet to the network, or removes it.
    ///
    /// # Errors
    /// `Weights` if the ControlNet is for another family of models; `Unsupported` if the network
    /// takes none.
    pub fn set_control(&mut self, control: Option<ControlNet>) -> Result<()> {
        let own = |name: &str, _: &[usize]| match name.starts_with(CONTROL_PREFIX) {
            true => Vec::new(),
            false => vec![(name.to_string(), View::Whole)],
        };
        let mut weights = self.component.weights.clone().map_names(own)?;
        let has_control = control.is_some();
        let mut outline = None;
        if let Some(ControlNet { outline: steering, weights: added }) = control {
            let (expected, got) =
                (self.network.text_width(&weights), self.network.text_width(&added));
            if expected != got {
                let words =
                    |width: Option<usize>| width.map_or("no text".into(), |w| w.to_string());
                let message = format!(
                    "controlnet: expected one for text embeddings of width {}, got {}: it is for \
                     another family of models",
                    words(expected),
                    words(got)
                );
                return Err(Error::new(ErrorKind::Weights, message));
            }
            let prefixed =
                |name: &str, _: &[usize]| vec![(format!("{CONTROL_PREFIX}{name}"), View::Whole)];
            weights = weights.merge(added.map_names(prefixed)?)?;
            outline = Some(steering);
        }
        self.network.set_control(outline)?;
        self.has_control = has_control;
        self.component = Component::new(weights);
        self.uploaded_control = false;
        Ok(())
    }

    /// The names of the network's weights.
    pub fn names(&self) -> Vec<&str> {
        self.component.weights.names().filter(|name| !name.starts_with(CONTROL_PREFIX)).collect()
    }

    /// Adds low-rank patches to the weights, in place of earlier ones.
    ///
    /// # Errors
    /// `Weights` if a patch does not fit; then nothing changes.
    pub fn set_patches(&mut self, patches: Patches) -> Result<()> {
        self.component.weights.set_patches(patches)?;
        self.component.unload();
        Ok(())
    }

    /// Whether there is a ControlNet.
    pub fn has_control(&self) -> bool {
        self.has_control
    }

    /// The width of the pooled text embeddings that the network reads.
    pub fn pooled_width(&self) -> Option<usize> {
        self.network.pooled_width(&self.component.weights)
    }

    /// The width of the token embeddings that the cross-attention was made for, if it has any.
    pub fn text_width(&self) -> Option<usize> {
        self.network.text_width(&self.component.weights)
    }

    /// Drops the programs of other shapes.
    pub fn retain(&mut self, shape: DenoiserShape) {
        self.component.retain(|(known, _)| *known == shape);
        // The plan of a picture without a ControlNet does not count its weights.
        if self.uploaded_control && shape.control.is_none() {
            self.unload();
        }
    }

    /// Drops weights and programs from the GPU.
    pub fn unload(&mut self) {
        self.uploaded_control = false;
        self.component.unload();
    }

    /// Bytes of GPU memory that the denoiser holds.
    pub fn bytes(&self) -> u64 {
        self.component.bytes()
    }

    /// The plans for a shape on a target; they are kept.
    ///
    /// # Errors
    /// `Weights`, `Shape` or `Memory` if the weights or the target's limits do not allow it.
    pub fn plans(&self, shape: DenoiserShape, target: &Target) -> Result<DenoiserPlans> {
        let known = |phase| self.component.known_plan(&(shape, phase), target);
        if let (Some(prepare), Some(step)) = (known(Phase::Prepare), known(Phase::Step)) {
            return Ok(DenoiserPlans { prepare, step });
        }
        let graphs = graph::phases(self.folder, &*self.network, &self.component.weights, shape)?;
        let prepare = Plan::new(&graphs.prepare, target)?;
        let step = Plan::new(&graphs.step, target)?;
        Ok(DenoiserPlans {
            prepare: self.component.keep_plan(&(shape, Phase::Prepare), prepare),
            step: self.component.keep_plan(&(shape, Phase::Step), step),
        })
    }

    /// The programs for a shape: those that are loaded, or those of `plans`, whose weights are
    /// uploaded.
    ///
    /// # Errors
    /// `Memory`, `Weights` or `Device` if they do not run on the device.
    pub async fn programs(
        &mut self,
        gpu: &Gpu,
        shape: DenoiserShape,
        plans: &DenoiserPlans,
    ) -> Result<Programs> {
        let known = |phase| self.component.program(&(shape, phase));
        if let (Some(prepare), Some(step)) = (known(Phase::Prepare), known(Phase::Step)) {
            return Ok(Programs { prepare, step });
        }
        self.uploaded_control |= shape.control.is_some();
        let DenoiserPlans { prepare, step } = plans.clone();
        let key = (shape, Phase::Prepare);
        let prepare = self.component.compile(gpu, key, prepare, &[]).await?;
        let names = prepare.plan().outputs.iter().map(|port| port.name.clone());
        let links: Vec<_> = names.map(|name| Link { from: &prepare, name }).collect();
        let step = self.component.compile(gpu, (shape, Phase::Step), step, &links).await?;
        Ok(Programs { prepare, step })
    }
}
