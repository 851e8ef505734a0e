//! [`Loaded`]: models that stay on their device from one request to the next.

use super::additions::LoraFile;
use super::draw::Models;
use super::settings::Layer;
use super::txt2img::Arguments;
use super::wording::Wording;
use clap::{Arg, Command};
use croquis::Result;
use croquis::diffusion::Request;

/// The models of the last request, with the settings and the prompt's LoRAs that they were loaded with.
#[derive(Default)]
pub struct Loaded(Option<(Layer, Vec<LoraFile>, Models)>);

impl Loaded {
    /// The checked request of arguments, and models for it: those that are loaded, or others if the
    /// settings that the arguments come from choose others.
    pub fn request(
        &mut self,
        command: &Command,
        settings: &Layer,
        arguments: &Arguments,
        wording: &Wording,
    ) -> Result<(Request, &mut Models)> {
        let fixed = settings.of(command, changes_model);
        let same = |(loaded, loras, _): &(Layer, Vec<LoraFile>, Models)| {
            *loaded == fixed && *loras == wording.loras
        };
        let kept = self.0.take_if(|loaded| same(loaded));
        let (request, loaded) = match kept {
            Some(loaded) => (arguments.request(loaded.2.first.model(), wording), loaded),
            None => {
                let model = arguments.open(wording)?;
                let request = arguments.request(&model, wording)?;
                self.0 = None; // before another model takes its place in memory
                (Ok(request), (fixed, wording.loras.clone(), arguments.load(model)?))
            }
        };
        let models = &mut self.0.insert(loaded).2;
        Ok((request?, models))
    }

    /// The models, if there are any.
    pub fn models(&self) -> Option<&Models> {
        self.0.as_ref().map(|(_, _, models)| models)
    }

    /// Forgets the models, so that the next request loads them anew.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

/// Whether a model is loaded anew for another value of an option: those of models, additions and
/// devices, but none whose value goes into the request.
pub fn changes_model(option: &Arg) -> bool {
    let requests = ["Prompt", "Picture", "Sampling", "Input pictures", "Output"];
    let heading = option.get_help_heading().unwrap_or_default();
    let name = option.get_long().unwrap_or_default();
    let of_request = ["control-", "hires"].iter().any(|start| name.starts_with(start));
    !(heading.is_empty() || requests.contains(&heading) || of_request)
}
