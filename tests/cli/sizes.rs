//! Notes on sizes that are far from a model's own.

use super::{command, fresh, outcome, text};
use serde_json::{Value, json};
use std::fs;

const FAR: &str = "is far from the 64x64 pixels that the model was trained for";

/// The notes of a picture by the embedded model, which is trained for 64×64 pixels; the same are printed.
fn notes(arguments: &[&str]) -> Vec<String> {
    let file = fresh("sized.png");
    let first = ["txt2img", "a red apple", "-s", "1", "--steps", "2", "--json", "-o", text(&file)];
    let run = outcome(command().args(first).args(arguments)).success();
    let notes = run.json()["notes"].as_array().cloned().unwrap_or_default();
    let notes = notes.iter().map(|note| note.as_str().expect("a text").to_string());
    let notes: Vec<String> = notes.filter(|note| note.contains(FAR)).collect();
    assert_eq!(run.err.matches(FAR).count(), notes.len(), "{}", run.err);
    notes
}

#[test]
fn a_size_far_from_the_models_own_is_noted() {
    let (large, small) = (["-W", "96", "-H", "96"], ["-W", "40", "-H", "40"]);
    let [note] = &notes(&large)[..] else { panic!("expected a note") };
    assert!(note.starts_with("96x96 is far") && note.contains("--hires"), "{note}");
    let [note] = &notes(&small)[..] else { panic!("expected a note") };
    assert!(note.starts_with("40x40 is far") && !note.contains("--hires"), "{note}");
    for near in [&[][..], &["-W", "96"], &["-W", "48", "-H", "64"]] {
        assert_eq!(notes(near), [""; 0], "{near:?}");
    }
}

#[test]
fn with_a_second_pass_the_first_is_compared() {
    assert_eq!(notes(&["--hires", "2", "--hires-strength", "0.5"]), [""; 0]);
    let [note] = &notes(&["--hires", "1.5", "-W", "96", "-H", "96"])[..] else {
        panic!("expected a note")
    };
    assert!(note.starts_with("96x96 is far") && !note.contains("--hires"), "{note}");
}

#[test]
fn a_picture_that_is_kept_gives_the_composition() {
    let image = fresh("large-input.png");
    let picture = croquis::picture::Picture::new(128, 128, vec![90; 3 * 128 * 128]);
    picture.expect("a picture").save(&image, &[]).expect("a file");
    let drawn_over = ["--image", text(&image), "--strength"];
    assert_eq!(notes(&[&drawn_over[..], &["0.5"]].concat()), [""; 0]);
    let [note] = &notes(&[&drawn_over[..], &["1"]].concat())[..] else { panic!("expected a note") };
    assert!(note.starts_with("128x128 is far") && !note.contains("--hires"), "{note}");
}

#[test]
fn batches_note_it_too() {
    let folder = fresh("sized-batch");
    fs::create_dir(&folder).expect("a folder");
    let line = |width: usize| json!({ "prompt": "x", "width": width, "height": 64 }).to_string();
    fs::write(folder.join("lines"), [line(64), line(160)].join("\n")).expect("a file");
    let run =
        outcome(command().current_dir(&folder).args(["batch", "lines", "--steps", "1"])).success();
    let far = |line: &str| {
        let result: Value = serde_json::from_str(line).expect("JSON");
        result["notes"].to_string().contains(FAR)
    };
    assert_eq!(run.out.lines().map(far).collect::<Vec<_>>(), [false, true]);
    assert_eq!(run.err.matches(FAR).count(), 1, "{}", run.err);
}
