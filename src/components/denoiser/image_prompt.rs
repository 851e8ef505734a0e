//! The weights of an IP-Adapter under the names of the network that it prompts.

use crate::error::{Error, ErrorKind, Result};
use crate::models::image_prompt::PROJECTION;
use crate::weights::{View, Weights};
use std::collections::BTreeMap;

/// The blocks of a UNet in the order in which adapters count attentions, which is that of its
/// modules in diffusers: the middle is last.
const ORDER: [&str; 3] = ["down_blocks.", "up_blocks.", "mid_block."];

/// The parts of an adapter's layer.
const PARTS: [&str; 2] = ["to_k_ip.weight", "to_v_ip.weight"];

/// Whether a weight is one of an adapter.
pub(super) fn is_image_prompt(name: &str) -> bool {
    name.starts_with(PROJECTION) || PARTS.iter().any(|part| name.ends_with(part))
}

/// The weights of an adapter, of which `ip_adapter.N.to_k_ip.weight` becomes
/// `….attn2.to_k_ip.weight`: N counts self- and cross-attentions, which take turns, so that those of
/// an adapter are odd.
///
/// # Errors
/// `Weights` if the adapter has not one layer for every cross-attention of the network, each of its
/// shape.
pub(super) fn named(network: &Weights, adapter: Weights) -> Result<Weights> {
    let fail = |message: String| {
        let message = format!("ip-adapter: {message}: it is for another family of models");
        Err(Error::new(ErrorKind::Weights, message))
    };
    let layers = cross_attentions(network);
    let mut names = BTreeMap::new();
    for (index, layer) in layers.iter().enumerate() {
        for (part, own) in PARTS.into_iter().zip(["to_k.weight", "to_v.weight"]) {
            let name = format!("ip_adapter.{}.{part}", 2 * index + 1);
            let (expected, got) = (network.shape(&format!("{layer}{own}")), adapter.shape(&name));
            if expected != got {
                let words = |shape: Option<&[usize]>| {
                    shape.map_or("no such weight".into(), |shape| format!("{shape:?}"))
                };
                return fail(format!("{name}: expected {}, got {}", words(expected), words(got)));
            }
            names.insert(name, format!("{layer}{part}"));
        }
    }
    let layer = |name: &str| name.starts_with("ip_adapter.") && !names.contains_key(name);
    if let Some(more) = adapter.names().find(|name| layer(name)) {
        return fail(format!("expected {} layers, got also {more}", layers.len()));
    }
    adapter.map_names(|name, _| match names.get(name) {
        Some(new) => vec![(new.clone(), View::Whole)],
        None => vec![(name.to_string(), View::Whole)],
    })
}

/// The names of a network's cross-attentions, ending in a dot, as adapters count them.
fn cross_attentions(network: &Weights) -> Vec<&str> {
    let numbers = |name: &str| -> Vec<usize> {
        name.split('.').filter_map(|part| part.parse().ok()).collect()
    };
    let all = network.names().filter_map(|name| name.strip_suffix("to_k.weight"));
    let mut found: Vec<_> = all
        .filter(|layer| layer.ends_with(".attn2."))
        .filter_map(|layer| {
            let block = ORDER.iter().position(|block| layer.starts_with(block))?;
            Some((block, numbers(layer), layer))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, _, layer)| layer).collect()
}
