//! `inspect`: folders, single files, quantised files and single components.

use super::{croquis, fresh, text};
use croquis::Storage;
use croquis::diffusion::{Model, Request};
use croquis::files::ModelFiles;
use croquis::internal::kernels::Target;
use croquis::internal::weights::Weights;
use croquis::picture::Picture;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

fn inspect(file: &Path) -> Value {
    croquis(&["inspect", text(file), "--json"]).success().json()
}

/// Family, components and types of each file, as JSON and in the table.
#[test]
fn families_components_and_types() {
    let cases = [
        (
            "sd1-tiny",
            json!(["Stable Diffusion 1.x, text to image", "epsilon", "PNDMScheduler"]),
            &["text_encoder", "unet", "vae"][..],
        ),
        (
            "single/sdxl.safetensors",
            json!(["Stable Diffusion XL, text to image", "epsilon", "EulerDiscreteScheduler"]),
            &["text_encoder", "text_encoder_2", "unet", "vae"],
        ),
        (
            "single/sd2.safetensors",
            json!(["Stable Diffusion 2.x, text to image", "v_prediction", "DDIMScheduler"]),
            &["text_encoder", "unet", "vae"],
        ),
        (
            "single/sd1-q8_0.gguf",
            json!(["Stable Diffusion 1.x, text to image", "epsilon", "PNDMScheduler"]),
            &["unet"],
        ),
        ("controlnet-tiny/controlnet", json!(["ControlNetModel", null, null]), &[""]),
        (
            "../../models/emoji-64",
            json!(["MobileDiffusion", "v_prediction", "DDIMScheduler"]),
            &["text_encoder", "unet", "vae"],
        ),
    ];
    for (file, expected, components) in cases {
        let path = golden(file);
        let json = inspect(&path);
        assert_eq!(json["model"], text(&path), "{file}");
        let told = json!([json["family"], json["prediction"], json["scheduler"]]);
        assert_eq!(told, expected, "{file}");
        let parts = json["components"].as_array().expect(file);
        let names: Vec<_> = parts.iter().map(|part| part["name"].as_str().expect(file)).collect();
        assert_eq!(names, components, "{file}");
        assert_eq!(json["unknown"], json!([]), "{file}");

        let table = croquis(&["inspect", text(&path)]).success().out;
        let head = ["model", "family", "prediction", "scheduler"].map(|word| {
            let line = table.lines().find(|line| line.starts_with(word)).expect(word);
            line[word.len()..].trim().to_string()
        });
        let word = |value: &Value| value.as_str().unwrap_or("unknown").to_string();
        let words = [text(&path).to_string()].into_iter();
        let words = words.chain(expected.as_array().expect(file).iter().map(word));
        assert!(head.into_iter().eq(words), "{table}");
        for part in parts {
            let name = Some(word(&part["name"])).filter(|name| !name.is_empty());
            let name = name.unwrap_or("(the model)".into());
            let row = table.lines().find(|line| line.starts_with(&format!("{name} ")));
            let row = row.expect(&name).strip_prefix(&name).expect(&name).trim();
            let megabytes = |value: &Value| format!("{:.1}", value.as_f64().expect(file) / 1e6);
            let mut cells = vec![part["tensors"].to_string(), part["parameters"].to_string()];
            let gpu = &part["gpu_bytes"];
            cells.extend([&part["file_bytes"], &gpu["f16"], &gpu["f32"]].map(megabytes));
            let got: Vec<_> = row.split_whitespace().take(5).collect();
            assert_eq!(got, cells, "{table}");
            assert_eq!(gpu["f16"], gpu["packed"], "{file}");
            let types = part["types"].as_object().expect(file);
            let count: u64 = types.values().filter_map(Value::as_u64).sum();
            assert_eq!(Some(count), part["tensors"].as_u64(), "{file}");
            assert!(types.iter().all(|(name, n)| row.contains(&format!("{n} {name}"))), "{row}");
        }
        let quantised = parts.iter().any(|part| part["types"].get("q8_0").is_some());
        assert_eq!(quantised, file.ends_with(".gguf"), "{file}");
    }
}

/// The number of values in the layer of XL's first text encoder that is skipped, and in the norm
/// after it: they are in the file, but no plan uploads them.
fn unused_layer() -> u64 {
    let weights = Weights::open(golden("sdxl-tiny/text_encoder/model.safetensors"));
    let weights = weights.expect("an encoder").without_prefix("text_model.").expect("an encoder");
    let unused = |name: &&str| ["encoder.layers.1.", "final_"].iter().any(|s| name.starts_with(s));
    let numbers = |name: &str| weights.shape(name).map_or(0, |shape| shape.iter().product());
    weights.names().filter(unused).map(numbers).sum::<usize>() as u64
}

/// The memory columns equal the weights that a picture's plans upload.
#[test]
fn memory_is_what_plans_take() {
    let components = [
        ("text_encoder", &["text_encoder"][..]),
        ("text_encoder_2", &["text_encoder_2"]),
        ("unet", &["prepare", "step"]),
        ("vae", &["encoder", "decoder"]),
    ];
    let picture = Picture::new(64, 64, vec![0; 64 * 64 * 3]).expect("a picture");
    let request = Request::new("a tree").image(picture, 0.5);
    for file in ["sd1-tiny", "single/sd1.safetensors", "single/sd2.safetensors", "sdxl-tiny"] {
        let path = golden(file);
        let json = inspect(&path);
        let model = Model::open(&ModelFiles::open(&path).expect(file)).expect(file);
        for storage in [Storage::F32, Storage::F16] {
            let plans = model.plans(&request, &Target::webgpu(storage)).expect(file);
            for part in json["components"].as_array().expect(file) {
                let name = part["name"].as_str().expect(file);
                let (_, phases) = components.iter().find(|(part, _)| *part == name).expect(name);
                // XL's autoencoder is kept from 16 bits.
                let storage =
                    if name == "vae" && file == "sdxl-tiny" { Storage::F32 } else { storage };
                let planned: BTreeMap<_, _> = plans
                    .iter()
                    .filter(|(phase, _)| phases.contains(phase))
                    .flat_map(|(_, plan)| &plan.weights)
                    .map(|weight| (weight.key(), weight.bytes()))
                    .collect();
                let mut wanted: u64 = planned.values().sum();
                if (file, name) == ("sdxl-tiny", "text_encoder") {
                    wanted += unused_layer() * storage.element_bytes() as u64;
                }
                let told = part["gpu_bytes"][storage.name()].as_u64();
                assert_eq!(told, Some(wanted), "{file}: {name}: {storage}");
            }
        }
    }
}

#[test]
fn what_is_unknown_is_listed() {
    let path = fresh("strange.safetensors");
    let whole = std::fs::read(golden("single/sd1.safetensors")).expect("a file");
    let file = safetensors::SafeTensors::deserialize(&whole).expect("tensors");
    let strange = |name: &str| format!("strange.{name}");
    let own = file.iter().map(|(name, tensor)| (name.to_string(), tensor));
    let more = file.iter().take(25).map(|(name, tensor)| (strange(name), tensor));
    let bytes = safetensors::serialize(own.chain(more), None).expect("a file");
    std::fs::write(&path, bytes).expect("a file");
    let listed = inspect(&path)["unknown"].as_array().expect("a list").len();
    assert_eq!(listed, 25);
    let table = croquis(&["inspect", text(&path)]).success().out;
    assert!(table.contains("25 tensors belong to no known component:"), "{table}");
    assert!(table.contains("and 5 more; --json has all"), "{table}");
    assert_eq!(table.lines().filter(|line| line.starts_with("  strange.")).count(), 20);
    let run = croquis(&["inspect", text(&fresh("nothing-there"))]);
    assert_eq!(run.complaint(1, &["nothing-there", "no such"]), None);
}
