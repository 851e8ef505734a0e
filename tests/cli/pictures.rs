//! The files that `txt2img` writes, and its messages.

use super::{croquis, fresh, safetensors_file, text};
use std::fs;
use std::path::Path;

/// The text chunk of a PNG under a keyword.
fn chunk(file: &Path, keyword: &str) -> String {
    let reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(file).expect("a PNG")));
    let reader = reader.read_info().expect("a PNG");
    let info = reader.info();
    let latin = info.uncompressed_latin1_text.iter().find(|chunk| chunk.keyword == keyword);
    let utf8 = info.utf8_text.iter().find(|chunk| chunk.keyword == keyword);
    match (latin, utf8) {
        (Some(chunk), None) => chunk.text.clone(),
        (None, Some(chunk)) => chunk.get_text().expect("a text"),
        _ => panic!("{} has no single chunk {keyword}", file.display()),
    }
}

#[test]
fn a_seed_is_a_picture() {
    let files = ["first.png", "again.png", "other.png"].map(fresh);
    for (file, seed) in files.iter().zip(["7", "7", "8"]) {
        let arguments = ["txt2img", "a red apple", "--steps", "2", "--seed", seed];
        let run = croquis(&[&arguments[..], &["-o", text(file)]].concat()).success();
        assert_eq!(run.out, format!("{}\n", file.display()));
        assert!(run.err.contains("device 0: ") && run.err.contains(", storage "), "{}", run.err);
    }
    let [first, again, other] = files.map(|file| fs::read(file).expect("a picture"));
    assert!(first == again, "the same seed gave other bytes");
    assert!(first != other, "another seed gave the same picture");
}

/// CFG++ has a guidance scale of its own by default, and the unconditional output counts at 1 too: the
/// picture depends on the negative prompt.
#[test]
fn guidance_of_cfg_pp() {
    let draw = |name: &str, more: &[&str]| {
        let file = fresh(name);
        let fixed =
            ["txt2img", "a red apple", "--scheduler", "Euler CFG++", "--seed", "1", "--json"];
        (croquis(&[&fixed[..], more, &["--steps", "2", "-o", text(&file)]].concat()), file)
    };
    let (run, first) = draw("cfg-1.png", &["--negative-prompt", "green"]);
    assert_eq!(run.success().json()["guidance_scale"], 0.6f32);
    let chosen = ["--guidance-scale", "1", "--negative-prompt", "green"];
    let (run, second) = draw("cfg-2.png", &chosen);
    assert_eq!(run.success().json()["guidance_scale"], 1.0);
    let (run, third) = draw("cfg-3.png", &[&chosen[..3], &["blue"]].concat());
    run.success();
    let [first, second, third] =
        [first, second, third].map(|file| fs::read(file).expect("a picture"));
    assert!(first != second && second != third);
}

#[test]
fn the_png_carries_the_settings_and_the_json_line_all_of_it() {
    let file = fresh("settings.png");
    let arguments = ["txt2img", "ein Apfel, 苹果", "--negative-prompt", "-worms", "--seed", "42"];
    let settings = ["--steps", "2", "--guidance-scale", "3.5", "--scheduler", "dpm++2m", "--json"];
    let output = ["--output", text(&file)];
    let run = croquis(&[&arguments[..], &settings[..], &output[..]].concat()).success();
    let expected = format!(
        "ein Apfel, 苹果\nNegative prompt: -worms\nSteps: 2, Sampler: DPM++ 2M, CFG scale: 3.5, \
         Seed: 42, Size: 64x64, Model: emoji-64, Version: croquis {}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(chunk(&file, "parameters"), expected);
    let json = run.json();
    assert_eq!(json["files"], serde_json::json!([text(&file)]));
    assert_eq!(json["seeds"], serde_json::json!([42]));
    assert_eq!(json["scheduler"], "dpm++2m");
    assert_eq!(json["steps"], 2);
    assert_eq!(json["size"], serde_json::json!([64, 64]));
    assert_eq!(json["notes"], serde_json::json!([]));
    for key in ["device", "driver", "storage", "model"] {
        assert!(json[key].as_str().is_some_and(|value| !value.is_empty()), "{key}: {json}");
    }
    assert!(json["peak_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{json}");
    let seconds = |phase: &str| json["seconds"][phase].as_f64().expect(phase);
    let phases = ["open", "text", "prepare", "denoise", "decode"].map(seconds);
    assert!(phases.iter().all(|time| *time > 0.0), "{json}");
    assert!(seconds("total") >= phases.iter().sum(), "{json}");
}

#[test]
fn several_pictures_have_consecutive_seeds() {
    let base = fresh("several.png");
    let files = ["several-1.png", "several-2.png"].map(fresh);
    let arguments = ["txt2img", "a red apple", "--steps", "1", "--count", "2", "--json", "-o"];
    let json = croquis(&[&arguments[..], &[text(&base)]].concat()).success().json();
    let seed = json["seeds"][0].as_u64().expect("a random seed");
    assert_eq!(json["seeds"], serde_json::json!([seed, seed + 1]));
    for (file, seed) in files.iter().zip([seed, seed + 1]) {
        assert!(chunk(file, "parameters").contains(&format!("Seed: {seed},")));
    }
    assert!(!base.exists());
}

#[test]
fn prompts_of_no_and_of_a_thousand_words() {
    let file = fresh("prompts.png");
    let draw = |prompt: &str| {
        let rest = ["--steps", "1", "--seed", "1", "--json", "-o", text(&file)];
        croquis(&[&["txt2img", prompt], &rest[..]].concat()).success()
    };
    let empty = draw("");
    assert_eq!(empty.json()["notes"], serde_json::json!([]));
    assert!(chunk(&file, "parameters").starts_with("\nSteps: 1,"));
    let long = draw(&"apple ".repeat(1000));
    let note = &long.json()["notes"][0];
    let words = "a prompt has 1000 tokens; it is read in 34 chunks of up to 30";
    assert_eq!(note, words);
    assert!(long.err.contains(words), "{}", long.err);
    assert!(!long.err.contains("will be a PNG"), "{}", long.err);
}

#[test]
fn latents_take_the_place_of_the_seed() {
    let noise: Vec<f32> = (0..8 * 8 * 16).map(|i| (i as f32 * 12.9898).sin() * 1.4).collect();
    let latents = safetensors_file("noise.safetensors", "latents", &[1, 8, 8, 16], &noise);
    let files = ["seed-1.png", "seed-2.png"].map(fresh);
    for (file, seed) in files.iter().zip(["1", "2"]) {
        let arguments = ["txt2img", "a red apple", "--steps", "1", "--seed", seed];
        let rest = ["--latents", text(&latents), "-o", text(file)];
        croquis(&[&arguments[..], &rest[..]].concat()).success();
    }
    let [one, two] = files.map(|file| croquis::picture::Picture::open(file).expect("a picture"));
    assert_eq!((one.width(), one.height()), (128, 64), "the size is that of the latents");
    assert!(one == two, "the seed changed the picture");
}

#[test]
fn a_picture_to_start_from() {
    let image = concat!(env!("CARGO_MANIFEST_DIR"), "/models/emoji-64/golden/image.png");
    let file = fresh("from-picture.png");
    let arguments = ["txt2img", "a red apple", "--steps", "4", "--seed", "1"];
    let rest = ["--image", image, "--strength", "0.25", "-o", text(&file)];
    croquis(&[&arguments[..], &rest[..]].concat()).success();
    assert!(chunk(&file, "parameters").contains(", Denoising strength: 0.25, Version"));
    let [before, after] =
        [image, text(&file)].map(|file| croquis::picture::Picture::open(file).expect("a picture"));
    let pairs = before.rgb().iter().zip(after.rgb());
    let total: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    let mean = total as f64 / before.rgb().len() as f64;
    assert!(mean > 0.1 && mean < 85.0, "a quarter changed by {mean} of 255 on average");
}
