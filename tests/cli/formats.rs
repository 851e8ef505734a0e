//! Inputs of any size, and outputs by extension, to standard output and under templates.

use super::{command, croquis, fresh, refuses, text};
use croquis::picture::{Picture, settings_text};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A file with a picture whose red grows to the right.
fn gradient(name: &str, width: usize, height: usize) -> PathBuf {
    let pixel = |i: usize| [(i % width * 255 / width) as u8, 90, 30];
    let picture = Picture::new(width, height, (0..width * height).flat_map(pixel).collect());
    let file = fresh(name);
    picture.expect("a picture").save(&file, &[]).expect("a file");
    file
}

/// The size of the picture that one step makes of an input picture.
fn drawn(image: &str, more: &[&str]) -> (usize, usize) {
    let file = fresh("resized.png");
    let first = ["txt2img", "a red apple", "--steps", "2", "--image", image, "--strength", "0.5"];
    croquis(&[&first[..], &["-o", text(&file)], more].concat()).success();
    let picture = Picture::open(file).expect("a picture");
    (picture.width(), picture.height())
}

#[test]
fn inputs_of_any_size_and_format() {
    let image = gradient("odd.jpg", 101, 70);
    assert_eq!(drawn(text(&image), &[]), (96, 64));
    let size = ["--width", "64", "--height", "64"];
    assert_eq!(drawn(text(&image), &size), (64, 64));
    assert_eq!(drawn(text(&image), &[&size[..], &["--resize", "fit"]].concat()), (64, 40));
    assert_eq!(drawn(text(&image), &["--resize", "stretch", "--height", "32"]), (48, 32));
    refuses(
        &[&["--image", text(&image), "--resize", "none"], &size[..]].concat(),
        &["--resize none: expected a picture of 64x64 pixels, got 101x70"],
    );
    refuses(&["--image", text(&image), "--width", "65"], &["width: expected a multiple", "got 65"]);
    refuses(&["--image", text(&image), "--width", "99999999999"], &["99999999999"]);
}

#[test]
fn a_mask_goes_the_way_of_its_picture() {
    let image = gradient("masked.png", 90, 70);
    let half = fresh("half.webp");
    let white = |i: usize| [if i % 90 < 45 { 255 } else { 0 }; 3];
    let mask = Picture::new(90, 70, (0..90 * 70).flat_map(white).collect()).expect("a picture");
    mask.save(&half, &[]).expect("a file");
    let file = fresh("repainted.png");
    let arguments = ["txt2img", "a red apple", "--steps", "2", "--image", text(&image), "--mask"];
    croquis(&[&arguments[..], &[text(&half), "-o", text(&file)]].concat()).success();
    let result = Picture::open(&file).expect("a picture");
    let kept = Picture::open(&image).expect("it").cropped(88, 64).expect("a part");
    let differs = |columns: std::ops::Range<usize>| {
        (0..64).any(|y| {
            let row = 3 * (y * 88 + columns.start)..3 * (y * 88 + columns.end);
            result.rgb()[row.clone()] != kept.rgb()[row]
        })
    };
    assert_eq!((result.width(), result.height()), (88, 64));
    assert!(differs(0..44), "white is repainted");
    assert!(!differs(44..88), "black is kept byte for byte");
    let other = gradient("other-size.png", 64, 64);
    let words = ["--mask", "expected the 90x70 pixels of --image", "masked.png, got 64x64"];
    refuses(&["--image", text(&image), "--mask", text(&other)], &words);
}

#[test]
fn the_extension_chooses_the_format_and_keeps_the_settings() {
    let mut lengths = Vec::new();
    for (name, quality, start) in [
        ("a.jpg", Some("95"), &b"\xff\xd8"[..]),
        ("b.jpeg", Some("30"), b"\xff\xd8"),
        ("c.webp", None, b"RIFF"),
    ] {
        let file = fresh(name);
        let mut arguments = vec!["txt2img", "苹果", "--steps", "1", "-s", "5", "-o", text(&file)];
        arguments.extend(quality.map(|quality| ["--quality", quality]).into_iter().flatten());
        croquis(&arguments).success();
        let bytes = fs::read(&file).expect("a file");
        assert!(bytes.starts_with(start), "{name}");
        let settings = settings_text(&bytes).expect("a picture").expect("settings");
        assert!(
            settings.starts_with("苹果\nSteps: 1,") && settings.contains("Seed: 5,"),
            "{settings}"
        );
        lengths.push(bytes.len());
    }
    assert!(lengths[1] < lengths[0], "{lengths:?}");
    refuses(&["--quality", "80"], &["picture.png: expected a name that ends in .jpg"]);
}

#[test]
fn standard_output_gets_the_picture_and_nothing_else() {
    let file = fresh("same.png");
    let arguments = ["txt2img", "a red apple", "--steps", "1", "--seed", "3", "-o"];
    croquis(&[&arguments[..], &[text(&file)]].concat()).success();
    let mut command: Command = command();
    let output = command.args(arguments).arg("-").output().expect("the program starts");
    assert!(output.status.success());
    assert!(output.stdout == fs::read(&file).expect("a file"), "other bytes");
    refuses(&["-o", "-", "--count", "2"], &["--output -: expected one picture"]);
    refuses(&["-o", "-", "--json"], &["--output -: expected no --json"]);
}

#[test]
fn templates_and_random_seeds() {
    let folder = fresh("templates");
    fs::create_dir(&folder).expect("a folder");
    let template = folder.join("a-{seed}-{index}.png");
    let arguments = ["txt2img", "a red apple", "--steps", "1", "--count", "2", "--json"];
    let run = croquis(&[&arguments[..], &["--seed", "-1", "-o", text(&template)]].concat());
    let json = run.success().json();
    let seeds = [0, 1].map(|index| json["seeds"][index].as_u64().expect("a seed"));
    assert_eq!(seeds[1], seeds[0] + 1);
    for (index, seed) in seeds.iter().enumerate() {
        assert!(folder.join(format!("a-{seed}-{}.png", index + 1)).exists());
    }
    refuses(&["-o", "a-{name}.png"], &["--output", "expected {seed} or {index}", "{name}"]);
}
