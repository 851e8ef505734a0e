//! The presets' weights against the published models: names, shapes and counts.

use croquis::internal::models::presets::{Preset, PresetComponent};
use std::collections::BTreeMap;
use std::path::Path;

/// Parameter counts of the published models, as counted by diffusers and transformers.
const COUNTS: [(&str, &str, usize); 8] = [
    ("sd15", "unet", 859_520_964),
    ("sd15", "vae", 83_653_863),
    ("sd15", "text_encoder", 123_060_480),
    ("sd21", "unet", 865_910_724),
    ("sd21", "text_encoder", 340_387_840),
    ("sdxl", "unet", 2_567_463_684),
    ("sdxl", "text_encoder", 123_060_480),
    ("sdxl", "text_encoder_2", 694_659_840),
];

fn count(component: &PresetComponent) -> usize {
    component.weights.values().map(|shape| shape.iter().product::<usize>()).sum()
}

#[test]
fn stable_diffusion_has_its_parameters() {
    for (preset, folder, expected) in COUNTS {
        let components = Preset::named(preset).unwrap().components();
        let component = components.iter().find(|component| component.folder == folder).unwrap();
        assert_eq!(count(component), expected, "{preset}: {folder}");
    }
}

#[test]
fn stable_diffusion_1_5_has_its_names_and_shapes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sd15_unet_shapes.json");
    let expected: BTreeMap<String, Vec<usize>> =
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let differences = |preset: &str| {
        let got = Preset::named(preset).unwrap().weights();
        let names = got.keys().chain(expected.keys());
        names.filter(|name| got.get(*name) != expected.get(*name)).count()
    };
    assert_eq!(differences("sd15"), 0);
    assert!(differences("sd21") > 0);
}

/// The paper gives the decoder 9.8 million parameters.
#[test]
fn mobile_diffusions_decoder_is_about_as_light_as_the_papers() {
    let components = Preset::named("mobilediffusion").unwrap().components();
    let vae = components.into_iter().find(|component| component.folder == "vae").unwrap();
    let decoder = vae.weights.into_iter().filter(|(name, _)| name.starts_with("decoder."));
    let count: usize = decoder.map(|(_, shape)| shape.iter().product::<usize>()).sum();
    println!("{count} parameters");
    assert!((9.0e6..11.0e6).contains(&(count as f64)), "{count}");
}

#[test]
fn every_name_is_a_preset() {
    for name in Preset::NAMES {
        let preset = Preset::named(name).unwrap();
        assert_eq!(preset.name, name);
        let folders: Vec<_> = preset.components().iter().map(|part| part.folder).collect();
        assert!(folders.starts_with(&["text_encoder"]) && folders.ends_with(&["vae", "unet"]));
    }
    let error = Preset::named("huge").unwrap_err().to_string();
    assert!(error.contains("sdxl-tiny, got \"huge\""), "{error}");
}
