//! The names of a component's layers in LoRA files, derived from the model's weight names.

use std::collections::{BTreeSet, HashMap};

use super::key::Module;
use crate::error::{Error, ErrorKind, Result};
use crate::files::checkpoint::blocks::RESNET;

/// A component's weights, by every name that a LoRA file may use for their layers.
pub(super) struct LayerAliases<'a> {
    paths: HashMap<String, BTreeSet<&'a str>>,
    flat: HashMap<String, BTreeSet<&'a str>>,
}

impl<'a> LayerAliases<'a> {
    /// Collects the names; arguments as of [`super::Lora::patches`].
    pub(super) fn new(names: &[&'a str], ldm: &[(String, String)]) -> Self {
        let (mut paths, mut flat) = (HashMap::new(), HashMap::new());
        for &name in names {
            let Some(module) = name.strip_suffix(".weight") else { continue };
            for path in aliases(module, ldm) {
                // Layers that are equal but for dots and underscores share an entry; `find` refuses
                // such a key.
                let underscored = path.replace('.', "_");
                flat.entry(underscored).or_insert_with(BTreeSet::new).insert(name);
                paths.entry(path).or_insert_with(BTreeSet::new).insert(name);
            }
        }
        LayerAliases { paths, flat }
    }

    /// The weight of a layer, if the component has it; an error if the key fits several layers.
    pub(super) fn find(&self, module: &Module) -> Result<Option<&'a str>> {
        let (found, module) = match module {
            Module::Path(path) => (self.paths.get(path), path),
            Module::Flat(flat) => (self.flat.get(flat), flat),
        };
        let mut found = found.into_iter().flatten().copied();
        match (found.next(), found.next()) {
            (Some(one), Some(other)) => {
                let message = format!("{module}: expected one layer, got {one} and {other}");
                Err(Error::new(ErrorKind::Weights, message))
            }
            (found, _) => Ok(found),
        }
    }
}

/// All module paths of a layer: diffusers', with and without `text_model.`, and the original Stable
/// Diffusion's.
fn aliases(module: &str, ldm: &[(String, String)]) -> Vec<String> {
    let mut aliases = vec![module.to_string(), format!("text_model.{module}")];
    for (original, diffusers) in ldm {
        if let Some(rest) = module.strip_prefix(diffusers.as_str())
            && (rest.is_empty() || rest.starts_with('.'))
        {
            aliases.push(format!("{original}{rest}"));
            let inside = rest.strip_prefix('.').unwrap_or_default();
            for (original_inside, _) in RESNET.iter().filter(|(_, layer)| *layer == inside) {
                aliases.push(format!("{original}.{original_inside}"));
            }
        }
    }
    aliases
}
