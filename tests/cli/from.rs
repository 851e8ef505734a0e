//! `--from`: settings taken from a picture.

use super::{croquis, fresh, text};
use std::fs;
use std::path::Path;

fn draw(arguments: &[&str], file: &Path) -> super::Outcome {
    croquis(&[&["txt2img", "-o", text(file)], arguments].concat()).success()
}

#[test]
fn a_picture_is_drawn_again_byte_for_byte() {
    let image = concat!(env!("CARGO_MANIFEST_DIR"), "/models/emoji-64/golden/image.png");
    let first = ["a red (apple:1.2),\nSteps: many", "-n", "green, 苹果", "-s", "5"];
    let second = ["x :)", "--plain-prompts", "--scheduler", "dpm++2m", "--spacing", "karras"];
    let third = ["y", "--clip-skip", "2", "--scheduler", "dpm++2m-karras", "-i", image];
    let cases: [(&[&str], &[&str]); 4] = [
        (&first, &["--guidance-scale", "3.7", "--steps", "3", "--guidance-rescale", "0.7"]),
        (&second, &["--steps", "2", "-W", "96", "--rng", "philox"]),
        (&["z", "--hires", "1.5"], &["--hires-strength", "0.4", "--steps", "3", "--eta", "0.5"]),
        (&third, &["--steps", "4", "--strength", "0.5"]),
    ];
    for (index, (case, rest)) in cases.into_iter().enumerate() {
        let [first, again] =
            ["first", "again"].map(|name| fresh(&format!("from-{name}-{index}.png")));
        draw(&[case, rest].concat(), &first);
        let image: &[&str] = if case.contains(&image) { &["-i", image] } else { &[] };
        let run = draw(&[&["--from", text(&first)], image].concat(), &again);
        assert!(!run.err.contains("not taken") && !run.err.contains("--image"), "{}", run.err);
        let [one, other] = [&first, &again].map(|file| fs::read(file).expect("a picture"));
        assert!(one == other, "{case:?} was drawn otherwise");
        draw(&[&["--from", text(&first), "-s", "77"], image].concat(), &again);
        assert!(one != fs::read(&again).expect("a picture"), "another seed, the same picture");
    }
}

#[test]
fn the_command_line_and_nothing_else_overrides_the_picture() {
    let (first, again) = (fresh("from-base.png"), fresh("from-over.png"));
    draw(&["an apple", "-s", "1", "--steps", "2", "-W", "96"], &first);
    let mut command = super::command();
    command.env("CROQUIS_STEPS", "5").env("CROQUIS_GUIDANCE_SCALE", "2");
    command.args(["txt2img", "a pear", "--from", text(&first), "-W", "64", "--json"]);
    let json = super::outcome(command.args(["-o", text(&again)])).success().json();
    assert_eq!(json["steps"], 2);
    assert_eq!(json["seeds"], serde_json::json!([1]));
    assert_eq!(json["size"], serde_json::json!([64, 64]));
    let settings = croquis::picture::settings_text(&fs::read(&again).expect("a picture"));
    assert!(settings.expect("a PNG").expect("settings").starts_with("a pear\n"));
}

#[test]
fn what_is_not_taken_is_told() {
    let (file, again) = (fresh("from-foreign.png"), fresh("from-foreign-again.png"));
    let picture = croquis::picture::Picture::new(8, 8, vec![0; 192]).expect("a picture");
    let infotext = "a boat\nSteps: 2, Sampler: Euler, CFG scale: 4, Seed: 3, Size: 64x64, \
                    Model: boats-v2, Hires upscaler: Latent, \
                    ControlNet 0: \"Module: canny, Weight: 1\", Version: v1.10.1";
    picture.save(&file, &[("parameters", infotext)]).expect("a file");
    let run = draw(&["--from", text(&file)], &again);
    for words in [
        "Hires upscaler Latent, ControlNet 0 Module: canny, Weight: 1",
        "the model boats-v2: --model chooses it",
        "2 steps of euler",
    ] {
        assert!(run.err.contains(words), "{}", run.err);
    }
    picture.save(&file, &[]).expect("a file");
    let refused = croquis(&["txt2img", "--from", text(&file)]);
    assert_eq!(refused.complaint(1, &["--from", text(&file), "expected the settings"]), None);
    let refused = croquis(&["txt2img", "--from", "missing.png"]);
    assert_eq!(refused.complaint(1, &["--from missing.png"]), None);
}
