//! The tensors of the published models, by name and shape.

use crate::{Shapes, fresh, list, sparse};
use croquis::files::checkpoint::blocks::RESNET;
use croquis::files::checkpoint::{Checkpoint, UnetLayout};
use croquis::internal::families::{Task, sd1, sd2, sdxl};
use croquis::internal::weights::Weights;
use serde_json::json;
use std::collections::BTreeMap;

/// The weight shapes of one component.
fn part(model: &Shapes, component: &str) -> Shapes {
    let inside = |name: &str| {
        let name = name.strip_prefix(component)?.strip_prefix('/')?;
        Some(name.strip_prefix("text_model.").unwrap_or(name).to_string())
    };
    model.iter().filter_map(|(name, shape)| Some((inside(name)?, shape.clone()))).collect()
}

fn shapes(weights: &Weights) -> Shapes {
    let shape = |name: &str| weights.shape(name).expect(name).to_vec();
    weights.names().map(|name| (name.to_string(), shape(name))).collect()
}

/// The differences between a checkpoint and the list of a diffusers model.
fn differences(checkpoint: &Checkpoint, model: &Shapes) -> Vec<String> {
    let mut wrong: Vec<String> =
        checkpoint.unknown.iter().map(|name| format!("unknown: {name}")).collect();
    for component in ["unet", "vae", "text_encoder", "text_encoder_2", "controlnet"] {
        let mut got = checkpoint.weights.get(component).map(shapes).unwrap_or_default();
        for (name, shape) in &mut got {
            // The autoencoder's attention is 1×1 convolutions there, matrices here.
            if component == "vae" && name.contains("attentions.0.to_") {
                shape.truncate(if shape.ends_with(&[1, 1]) { 2 } else { shape.len() });
            }
        }
        let want = part(model, component);
        let names: std::collections::BTreeSet<_> = got.keys().chain(want.keys()).collect();
        wrong.extend(
            names.into_iter().filter(|name| got.get(*name) != want.get(*name)).map(|name| {
                format!("{component}: {name}: {:?}, {:?}", want.get(name), got.get(name))
            }),
        );
    }
    wrong
}

fn checkpoint(file: &str, shapes: &Shapes) -> Checkpoint {
    let path = fresh(file);
    sparse(&path, shapes);
    let weights = Weights::open(&path).expect(file);
    // Where a mapped file cannot be removed it stays, and is empty but for its header.
    let _ = std::fs::remove_file(&path);
    Checkpoint::new(file, weights).expect(file)
}

#[test]
fn every_tensor_of_the_original_layout_is_one_of_diffusers() {
    for (model, family, task) in [
        ("sd15", &sd1::FAMILY, Task::TextToImage),
        ("sd15-inpainting", &sd1::FAMILY, Task::Inpainting),
        ("sd21", &sd2::FAMILY, Task::TextToImage),
        ("sdxl", &sdxl::FAMILY, Task::TextToImage),
    ] {
        let found = checkpoint(model, &list(&format!("ldm-{model}")));
        let wrong = differences(&found, &list(&format!("diffusers-{model}")));
        assert!(wrong.is_empty(), "{model}:\n{}", wrong.join("\n"));
        assert_eq!(found.kind, Some((family, task)), "{model}");
        assert_eq!(found.missing(), [""; 0], "{model}");
    }
}

/// With the prefix, without it, and under diffusers' names.
#[test]
fn every_tensor_of_a_controlnet_is_one_of_diffusers() {
    for (model, heads) in
        [("controlnet-sd15", json!(8)), ("controlnet-sd21", json!([5, 10, 20, 20]))]
    {
        let (file, want) = (list(&format!("ldm-{model}")), list(&format!("diffusers-{model}")));
        let without = |shapes: &Shapes, prefix: &str| -> Shapes {
            let inside = |name: &str| name.strip_prefix(prefix).expect(prefix).to_string();
            shapes.iter().map(|(name, shape)| (inside(name), shape.clone())).collect()
        };
        for shapes in [&file, &without(&file, "control_model."), &without(&want, "controlnet/")] {
            let found = checkpoint(model, shapes);
            let wrong = differences(&found, &want);
            assert!(wrong.is_empty(), "{model}:\n{}", wrong.join("\n"));
            assert_eq!(found.kind, None, "{model}");
            let config: serde_json::Value =
                serde_json::from_slice(&found.texts["controlnet/config.json"]).expect(model);
            assert_eq!(config["attention_head_dim"], heads, "{model}");
            assert_eq!(config["_class_name"], "ControlNetModel", "{model}");
        }
        let mut damaged = file.clone();
        damaged.remove("control_model.zero_convs.3.0.weight");
        damaged.insert("control_model.input_hint_block.1.weight".into(), vec![1]);
        assert_eq!(differences(&checkpoint("edited", &damaged), &want).len(), 2, "{model}");
    }
}

#[test]
fn the_comparison_sees_what_is_wrong() {
    let (file, model) = (list("ldm-sd15"), list("diffusers-sd15"));
    let norm = "model.diffusion_model.input_blocks.4.1.norm.weight";
    type Edit = fn(&mut Shapes, &str);
    let edits: [(&str, Edit); 3] = [
        (norm, |file, name| drop(file.remove(name))),
        (norm, |file, name| drop(file.insert(name.into(), vec![641]))),
        ("first_stage_model.decoder.foo.weight", |file, name| {
            file.insert(name.into(), vec![1]);
        }),
    ];
    for (name, edit) in edits {
        let mut file = file.clone();
        edit(&mut file, name);
        assert_eq!(differences(&checkpoint("edited", &file), &model).len(), 1, "{name}");
    }
}

/// A diffusers UNet under the original names, by the table of blocks.
fn original(unet: &Shapes) -> BTreeMap<String, String> {
    let blocks = UnetLayout::from_diffusers(unet.keys().map(String::as_str)).block_names();
    let rename = |name: &str| {
        let (ldm, ours) = blocks
            .iter()
            .find(|(_, ours)| name.strip_prefix(ours.as_str()).is_some_and(|r| r.starts_with('.')))
            .unwrap_or_else(|| panic!("{name} is in no block"));
        let rest = &name[ours.len() + 1..];
        let (layer, leaf) = rest.rsplit_once('.').unwrap_or(("", rest));
        let inside = RESNET.iter().find(|(_, ours)| *ours == layer).map(|(ldm, _)| *ldm);
        match inside.filter(|_| ours.contains("resnets")) {
            Some(inside) => format!("{ldm}.{inside}.{leaf}"),
            None => format!("{ldm}.{rest}"),
        }
    };
    unet.keys().map(|name| (rename(name), name.clone())).collect()
}

/// Renamed and back again, distilled models too, with and without the prefix.
#[test]
fn blocks_are_found_under_both_namings() {
    for model in [
        "sd15",
        "sd15-inpainting",
        "sd21",
        "sdxl",
        "sd-turbo",
        "bk-sdm-small",
        "tiny-sd",
        "ssd-1b",
        "lcm-dreamshaper",
    ] {
        let unet = part(&list(&format!("diffusers-{model}")), "unet");
        let names = original(&unet);
        let layout = UnetLayout::from_ldm(names.keys().map(String::as_str));
        let same = UnetLayout::from_diffusers(unet.keys().map(String::as_str));
        assert_eq!(layout, same, "{model}");
        for prefix in ["", "model.diffusion_model."] {
            let file =
                names.iter().map(|(ldm, ours)| (format!("{prefix}{ldm}"), unet[ours].clone()));
            let found = checkpoint("unet", &file.collect());
            assert!(found.unknown.is_empty(), "{model}: {:?}", found.unknown);
            assert_eq!(shapes(&found.weights["unet"]), unet, "{model}");
            let missing = found.missing();
            assert!(missing.starts_with(&["vae", "text_encoder"]), "{model}: {missing:?}");
        }
        // diffusers' own names in a single file are fine as they are.
        assert_eq!(shapes(&checkpoint("unet", &unet).weights["unet"]), unet, "{model}");
    }
}

/// The blocks of the original implementation, as its generator code numbers them.
#[test]
fn the_original_names_are_the_generators() {
    for model in ["sd15", "sd21", "sdxl"] {
        let names = original(&part(&list(&format!("diffusers-{model}")), "unet"));
        let file = list(&format!("ldm-{model}"));
        let unet = file.keys().filter_map(|name| name.strip_prefix("model.diffusion_model."));
        assert_eq!(names.keys().map(String::as_str).collect::<Vec<_>>(), unet.collect::<Vec<_>>());
    }
}
