//! A summary of a model's files, without opening a device.

use super::model_files::ModelFiles;
use crate::error::Result;
use crate::families::{denoiser_folders, of_unet, recognise};
use crate::shape::Storage;
use crate::weights::{WeightFormat, WeightLayout, Weights, packed_len};
use serde_json::Value;
use std::collections::BTreeMap;

/// The parts of a model and their sizes; see [`ModelFiles::summary`].
#[derive(Clone, Debug)]
pub struct Summary {
    /// The model's name: its folder or file.
    pub name: String,
    /// The family with its task, or the class of the UNet.
    pub family: Option<String>,
    /// The components, in the order in which they are used.
    pub components: Vec<ComponentSummary>,
    /// The quantity that the UNet predicts, in diffusers' words.
    pub prediction: Option<String>,
    /// The class of the model's own sampler.
    pub scheduler: Option<String>,
    /// Tensors of a single file that belong to no component.
    pub unknown: Vec<String>,
}

/// One component's tensors.
#[derive(Clone, Debug, Default)]
pub struct ComponentSummary {
    /// Its name, such as `unet`.
    pub name: String,
    /// The number of tensors.
    pub tensors: usize,
    /// The number of parameters in them.
    pub parameters: u64,
    /// The number of tensors of each type in the file.
    pub types: BTreeMap<String, usize>,
    /// Bytes in the file.
    pub file_bytes: u64,
    /// Parameters on the GPU, padding included. Embedding tables stay on the host.
    gpu_values: usize,
}

impl ComponentSummary {
    /// Bytes on the GPU with a storage type.
    pub fn gpu_bytes(&self, storage: Storage) -> u64 {
        WeightFormat::from(storage).bytes(self.gpu_values) as u64
    }

    fn of(name: &str, weights: &Weights) -> ComponentSummary {
        let mut summary = ComponentSummary { name: name.into(), ..Default::default() };
        for tensor in weights.names() {
            let shape = weights.shape(tensor).unwrap_or_default();
            summary.tensors += 1;
            summary.parameters += shape.iter().product::<usize>() as u64;
            summary.file_bytes += weights.bytes_in_file(tensor).unwrap_or(0) as u64;
            if let Some(dtype) = weights.dtype(tensor) {
                *summary.types.entry(dtype.to_string()).or_default() += 1;
            }
            if !tensor.contains("embeddings.") {
                summary.gpu_values += packed_len(shape, layout(shape)).unwrap_or(0);
            }
        }
        summary
    }
}

/// The layout in GPU memory of a weight of this shape.
fn layout(shape: &[usize]) -> WeightLayout {
    match shape {
        [_] => WeightLayout::Vector,
        [_, _] | [_, _, 1, 1] => WeightLayout::Matrix,
        [_, 1, _, _] => WeightLayout::Depthwise,
        _ => WeightLayout::Conv,
    }
}

impl ModelFiles {
    /// The components of the model and their sizes. Weights are not read, only their headers.
    ///
    /// # Errors
    /// `Format` or `Io` if a file that is there is damaged. That a component is missing is no
    /// error: the list is shorter.
    pub fn summary(&self) -> Result<Summary> {
        let mut components = Vec::new();
        let mut family = None;
        let texts = ["text_encoder", "text_encoder_2"].into_iter();
        let names = texts.chain(denoiser_folders()).chain(["vae", "controlnet", ""]);
        for name in names {
            let Some(weights) = self.present(name)? else { continue };
            if denoiser_folders().contains(name) {
                family = self.family(name, &weights)?;
            }
            components.push(ComponentSummary::of(name, &weights));
        }
        let scheduler = self.config("scheduler/scheduler_config.json")?;
        let usual = scheduler.is_object().then(|| "epsilon".to_string());
        Ok(Summary {
            name: self.name().to_string(),
            family: match family {
                Some(family) => Some(family),
                None => {
                    let paths = ["unet/config.json", "controlnet/config.json", "config.json"];
                    let classes = paths.iter().map(|path| Ok(class(&self.config(path)?)));
                    classes.collect::<Result<Vec<_>>>()?.into_iter().flatten().next()
                }
            },
            components,
            prediction: scheduler["prediction_type"].as_str().map(String::from).or(usual),
            scheduler: class(&scheduler),
            unknown: self.unknown_tensors().to_vec(),
        })
    }

    /// The family of the denoiser in a folder, with its task if it is a UNet of Stable Diffusion.
    fn family(&self, folder: &str, weights: &Weights) -> Result<Option<String>> {
        let file = format!("{folder}/config.json");
        let class = class(&self.config(&file)?);
        let task = of_unet(weights).ok();
        let family = match &class {
            Some(class) => recognise(&file, class, weights).ok(),
            None => task.map(|(family, _)| family),
        };
        let task = task.filter(|(of_task, _)| Some(*of_task) == family);
        Ok(family.map(|family| match task {
            Some((_, task)) => format!("{}, {}", family.name, task.name()),
            None => family.name.to_string(),
        }))
    }

    /// A JSON file, or null if it is missing or damaged.
    fn config(&self, path: &str) -> Result<Value> {
        let text = self.read(path)?.unwrap_or_default();
        Ok(serde_json::from_slice(&text).unwrap_or(Value::Null))
    }
}

fn class(config: &Value) -> Option<String> {
    config["_class_name"].as_str().map(String::from)
}
