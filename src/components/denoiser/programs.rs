//! [`Denoiser`]: a network with its weights, plans and programs on a device.

use super::control::ControlNet;
use super::graph;
use super::image_prompt::{is_image_prompt, named};
use crate::components::component::Component;
use crate::components::image::ImagePrompted;
use crate::error::{Error, ErrorKind, Result};
use crate::families::Family;
use crate::files::ModelFiles;
use crate::gpu::{Gpu, Link, Program};
use crate::graph::Plan;
use crate::kernels::Target;
use crate::kernels::scheduler_step::slot::MAX_CONTROLS;
use crate::lora::Patches;
use crate::models::image_prompt::LATENTS;
use crate::models::network::{DenoiserShape, Network, NetworkFacts, RequestValues};
use crate::models::numbered::{CONTROL, numbered};
use crate::weights::{View, Weights};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The denoiser of a model.
pub struct Denoiser {
    folder: &'static str,
    /// The file of its weights, if it is one file on disk.
    file: Option<PathBuf>,
    network: Box<dyn Network>,
    facts: NetworkFacts,
    /// The number of ControlNets.
    controls: usize,
    /// The number of ControlNets whose weights may be on the GPU.
    uploaded_controls: usize,
    /// Whether an IP-Adapter was added, and whether weights of it may be on the GPU.
    image_prompt: bool,
    uploaded_image_prompt: bool,
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
        let weights = files.weights(family.folder)?;
        let file = weights.file_on_disk().map(PathBuf::from);
        let component = Component::new(weights);
        let (controls, uploaded_controls) = (0, 0);
        let (image_prompt, uploaded_image_prompt) = (false, false);
        let folder = family.folder;
        Ok(Denoiser {
            folder,
            file,
            network,
            facts,
            controls,
            uploaded_controls,
            image_prompt,
            uploaded_image_prompt,
            component,
        })
    }

    /// The folder of the network in diffusers' layout, such as `unet`.
    pub fn folder(&self) -> &'static str {
        self.folder
    }

    /// The file of the network's weights, if it is one file on disk.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Facts about the network.
    pub fn facts(&self) -> NetworkFacts {
        self.facts
    }

    /// Values of the inputs that only this network has; see [`Network::values`].
    pub fn values(&self, request: &RequestValues) -> Vec<(&'static str, Vec<f32>)> {
        self.network.values(request)
    }

    /// Adds ControlNets to the network in place of earlier ones.
    ///
    /// # Errors
    /// `Weights` if one is for another family of models; `Unsupported` if the network takes none;
    /// `Argument` if they are more than [`MAX_CONTROLS`].
    pub fn set_controls(&mut self, controls: Vec<ControlNet>) -> Result<()> {
        if controls.len() > MAX_CONTROLS {
            let got = controls.len();
            let message = format!("controlnet: expected at most {MAX_CONTROLS}, got {got}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let mut weights = self.weights_without(|name| name.starts_with(CONTROL))?;
        let expected = self.network.text_width(&weights);
        let (count, mut outlines) = (controls.len(), Vec::new());
        for (index, ControlNet { outline, weights: added }) in controls.into_iter().enumerate() {
            let (name, got) = (numbered(CONTROL, index), self.network.text_width(&added));
            if expected != got {
                let words =
                    |width: Option<usize>| width.map_or("no text".into(), |w| w.to_string());
                let message = format!(
                    "{name}: expected one for text embeddings of width {}, got {}: it is for \
                     another family of models",
                    words(expected),
                    words(got)
                );
                return Err(Error::new(ErrorKind::Weights, message));
            }
            weights = weights.merge(added.prefixed(&format!("{name}.")))?;
            outlines.push(outline);
        }
        self.network.set_controls(outlines)?;
        self.controls = count;
        self.replace_weights(weights);
        Ok(())
    }

    /// Adds an IP-Adapter to the network in place of an earlier one, or removes it.
    ///
    /// # Errors
    /// `Weights` if it is for another family of models; `Unsupported` if the network takes none.
    pub fn set_image_prompt(&mut self, prompted: Option<ImagePrompted>) -> Result<()> {
        let mut weights = self.weights_without(is_image_prompt)?;
        let prompt = prompted.as_ref().map(|prompted| prompted.prompt);
        if let Some(ImagePrompted { weights: added, .. }) = prompted {
            let added = named(&weights, added)?;
            weights = weights.merge(added)?;
        }
        self.network.set_image_prompt(prompt)?;
        self.image_prompt = prompt.is_some();
        self.replace_weights(weights);
        Ok(())
    }

    /// The weights but for those that were added.
    fn weights_without(&self, added: impl Fn(&str) -> bool) -> Result<Weights> {
        self.component.weights.clone().map_names(|name, _| match added(name) {
            true => Vec::new(),
            false => vec![(name.to_string(), View::Whole)],
        })
    }

    fn replace_weights(&mut self, weights: Weights) {
        self.component = Component::new(weights);
        (self.uploaded_controls, self.uploaded_image_prompt) = (0, false);
    }

    /// The query tokens of an IP-Adapter's resampler, `[Q, I]`, if it has one.
    ///
    /// # Errors
    /// `Weights` if they cannot be read.
    pub fn image_latents(&self) -> Result<Option<Vec<f32>>> {
        let weights = &self.component.weights;
        weights.shape(LATENTS).map(|_| weights.read_f32(LATENTS)).transpose()
    }

    /// Whether an IP-Adapter was added.
    pub fn has_image_prompt(&self) -> bool {
        self.image_prompt
    }

    /// The names of the network's weights.
    pub fn names(&self) -> Vec<&str> {
        let own = |name: &&str| !name.starts_with(CONTROL) && !is_image_prompt(name);
        self.component.weights.names().filter(own).collect()
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

    /// The number of ControlNets.
    pub fn controls(&self) -> usize {
        self.controls
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
        // The plan of a picture without ControlNets or IP-Adapter does not count their weights.
        if self.uploaded_controls > shape.controls
            || (self.uploaded_image_prompt && !shape.image_prompt)
        {
            self.unload();
        }
    }

    /// Drops weights and programs from the GPU.
    pub fn unload(&mut self) {
        (self.uploaded_controls, self.uploaded_image_prompt) = (0, false);
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
        self.uploaded_controls = self.uploaded_controls.max(shape.controls);
        self.uploaded_image_prompt |= shape.image_prompt;
        let DenoiserPlans { prepare, step } = plans.clone();
        let key = (shape, Phase::Prepare);
        let prepare = self.component.compile(gpu, key, prepare, &[]).await?;
        let names = prepare.plan().outputs.iter().map(|port| port.name.clone());
        let links: Vec<_> = names.map(|name| Link { from: &prepare, name }).collect();
        let step = self.component.compile(gpu, (shape, Phase::Step), step, &links).await?;
        Ok(Programs { prepare, step })
    }
}
