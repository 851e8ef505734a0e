//! `--grid`: contact sheets.

use super::{Outcome, command, croquis, fresh, outcome, refuses, text};
use croquis::picture::{Picture, settings_text};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A new folder.
fn folder(name: &str) -> PathBuf {
    let folder = fresh(name);
    fs::create_dir(&folder).expect("a folder");
    folder
}

fn draw(folder: &Path, arguments: &[&str]) -> Outcome {
    outcome(
        command().current_dir(folder).args(["txt2img", "a red apple", "-s", "7"]).args(arguments),
    )
}

/// Left and top of a picture's first occurrence in another one.
fn place(sheet: &Picture, part: &Picture) -> Option<[usize; 2]> {
    let row = |picture: &Picture, x: usize, y: usize, width: usize| {
        let at = 3 * (y * picture.width() + x);
        picture.rgb()[at..at + 3 * width].to_vec()
    };
    let (width, height) = (part.width(), part.height());
    let is_there = |x: usize, y: usize| {
        (0..height).all(|line| row(sheet, x, y + line, width) == row(part, 0, line, width))
    };
    let places = (0..=sheet.height() - height)
        .flat_map(|y| (0..=sheet.width() - width).map(move |x| [x, y]));
    places.into_iter().find(|[x, y]| is_there(*x, *y))
}

/// The number of pixels that are black in a part of a picture.
fn black(picture: &Picture, [left, top]: [usize; 2], [right, bottom]: [usize; 2]) -> usize {
    let is_black =
        |x: usize, y: usize| picture.rgb()[3 * (y * picture.width() + x)..][..3] == [0; 3];
    (top..bottom).map(|y| (left..right).filter(|x| is_black(*x, y)).count()).sum()
}

#[test]
fn a_sheet_has_the_pictures_of_all_combinations() {
    let folder = folder("grid");
    let grid = ["--grid", "steps=1,2,3;guidance=2,7", "--grid-cells", "--json", "-o", "sheet.png"];
    let run = draw(&folder, &grid).success();
    let report = run.json();
    let open = |name: &str| Picture::open(folder.join(name)).expect("a picture");
    let sheet = open("sheet.png");
    assert_eq!(report["size"], json!([sheet.width(), sheet.height()]));
    let names: Vec<_> = (1..=6).map(|number| format!("sheet-{number}.png")).collect();
    let files = [&["sheet.png".to_string()], &names[..]].concat();
    assert_eq!(report["files"], json!(files));
    let (mut lefts, mut tops) = (Vec::new(), Vec::new());
    for (index, name) in names.iter().enumerate() {
        let (column, row) = (index % 3, index / 3);
        let (steps, guidance) = (["1", "2", "3"][column], ["2", "7"][row]);
        let cell = &report["grid"]["cells"][index];
        assert_eq!((&cell["column"], &cell["row"]), (&json!(column), &json!(row)));
        assert_eq!(cell["settings"], json!({ "steps": steps, "guidance-scale": guidance }));
        assert_eq!((&cell["seed"], &cell["file"]), (&json!(7), &json!(name)));
        // Each is the picture that txt2img draws, byte for byte, with its settings.
        let alone = ["--steps", steps, "--guidance-scale", guidance, "-o", "alone.png"];
        draw(&folder, &alone).success();
        let [one, other] =
            [&name[..], "alone.png"].map(|name| fs::read(folder.join(name)).expect("a file"));
        assert!(one == other, "{steps} steps, guidance {guidance}");
        let [left, top] = place(&sheet, &open(name)).expect("the picture is on the sheet");
        lefts.push(left);
        tops.push(top);
    }
    assert!(lefts[0] < lefts[1] && lefts[1] < lefts[2] && lefts[..3] == lefts[3..], "{lefts:?}");
    assert!(
        tops[0] < tops[3] && tops[..3] == [tops[0]; 3] && tops[3..] == [tops[3]; 3],
        "{tops:?}"
    );
    // There are letters above each column and beside each row.
    for left in &lefts[..3] {
        assert!(black(&sheet, [*left, 0], [left + 64, tops[0]]) > 20);
    }
    for top in [tops[0], tops[3]] {
        assert!(black(&sheet, [0, top], [lefts[0], top + 64]) > 20);
    }
    // One model; the sheet has the settings of the first picture and its own axes.
    assert_eq!(run.err.matches("device 0: ").count(), 1, "{}", run.err);
    assert!(run.err.contains("steps 3, guidance 7: seed 7, 3 steps"), "{}", run.err);
    let settings = settings_text(&fs::read(folder.join("sheet.png")).expect("a file"));
    let settings = settings.expect("a PNG").expect("settings");
    for words in ["Steps: 1,", "CFG scale: 2,", "Seed: 7,"] {
        assert!(settings.contains(words), "{settings}");
    }
    assert!(settings.ends_with(", Grid: \"steps=1,2,3;guidance=2,7\""), "{settings}");
    // It draws itself again.
    draw(&folder, &["--from", "sheet.png", "-o", "again.png"]).success();
    assert!(open("again.png") == sheet);
    // Or one picture, if it is asked for.
    draw(&folder, &["--from", "sheet.png", "--grid", "", "-o", "one.png"]).success();
    assert!(open("one.png") == open("sheet-1.png"));
}

#[test]
fn prompts_sizes_and_models_are_axes_too() {
    let folder = folder("grid-more");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/emoji-64");
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sd1-tiny");
    let axes = format!("model={model},{golden};prompt=a leaf,a red\\, round apple");
    let rest = ["--steps", "1", "-W", "64", "-H", "64", "-o", "models.webp"];
    let run = draw(&folder, &[&["--grid", &axes], &rest[..]].concat()).success();
    // The pictures of a model are drawn one after another, although its column has one in each row.
    let at = |name: &str| run.err.find(name).unwrap_or_else(|| panic!("{name}: {}", run.err));
    assert!(at("emoji-64, prompt a red, round") < at("sd1-tiny, prompt a leaf"), "{}", run.err);
    assert_eq!(run.out, "models.webp\n");
    let sheet = Picture::open(folder.join("models.webp")).expect("a picture");
    assert!(sheet.width() > 128 && sheet.height() > 128);
    let axes = "width=32,96;sampler=ddim,euler-ancestral";
    let arguments = ["--grid", axes, "--grid-cells", "--steps", "2", "-o", "sizes.png"];
    draw(&folder, &arguments).success();
    let open = |name: &str| Picture::open(folder.join(name)).expect("a picture");
    let sheet = open("sizes.png");
    for number in 1..=4 {
        let cell = open(&format!("sizes-{number}.png"));
        assert_eq!(cell.width(), [96, 32][number % 2]);
        assert!(place(&sheet, &cell).is_some(), "{number}");
    }
    assert!(open("sizes-1.png") != open("sizes-3.png"), "the sampler has no effect");
}

#[test]
fn one_seed_for_all_or_an_axis_of_seeds() {
    let folder = folder("grid-seeds");
    let grid = ["txt2img", "x", "--steps", "1", "--json", "--grid"];
    let run =
        |axes: &str| outcome(command().current_dir(&folder).args(grid).arg(axes)).success().json();
    let seeds = |report: Value| -> Vec<Value> {
        let cells = report["grid"]["cells"].as_array().cloned().unwrap_or_default();
        cells.iter().map(|cell| cell["seed"].clone()).collect()
    };
    let random = seeds(run("guidance=2,3"));
    assert!(random[0].is_u64() && random[0] == random[1], "{random:?}");
    assert_eq!(seeds(run("seed=3,1,2")), [3, 1, 2]);
}

#[test]
fn a_picture_that_fails_leaves_its_place_empty() {
    let folder = folder("grid-failed");
    // The upscaler's file is opened when its picture is drawn.
    let axes = "upscaler=missing.safetensors;hires=1.5";
    let missing = draw(&folder, &["--steps", "1", "--grid", axes, "-o", "none.png"]);
    assert_eq!(missing.complaint(1, &["upscaler missing.safetensors", "NotFound"][..1]), None);
    assert!(!folder.join("none.png").exists());
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/emoji-64");
    let axes = format!("memory=1K,8G;model={model}");
    let arguments = ["--steps", "1", "--grid", &axes, "--grid-cells", "--json", "-o", "some.png"];
    let run = draw(&folder, &arguments);
    assert_eq!(run.status, Some(1), "{}", run.err);
    let report = run.json();
    let cells = &report["grid"]["cells"];
    assert_eq!(cells[0]["error"]["kind"], "Memory", "{cells}");
    assert_eq!((&cells[0]["file"], &cells[1]["file"]), (&Value::Null, &json!("some-2.png")));
    assert_eq!(report["files"], json!(["some.png", "some-2.png"]));
    assert!(run.err.contains("error: memory 1K, model"), "{}", run.err);
    let [sheet, cell] =
        ["some.png", "some-2.png"].map(|name| Picture::open(folder.join(name)).expect("a picture"));
    let [left, top] = place(&sheet, &cell).expect("the other picture is on the sheet");
    assert!(black(&sheet, [left - 70, top], [left, top + 64]) > 50, "the place says so");
}

#[test]
fn what_cannot_be_drawn_is_refused_before_anything_is() {
    let folder = folder("grid-refused");
    let output = folder.join("sheet.png");
    let grid = |axes: &str, more: &[&str], words: &[&str]| {
        refuses(&[&["--grid", axes, "-o", text(&output)], more].concat(), words);
    };
    grid("stesp=1,2", &[], &["--grid: there is no axis \"stesp\"", "steps"]);
    grid("steps=1,many", &[], &["--grid: steps=many:", "invalid value"]);
    grid("steps=1,0", &[], &["--grid: steps 0: ", "steps: expected 1 to 1000, got 0"]);
    grid("prompt=x,-", &[], &["--grid: prompt -: prompt: expected a text, got `-`"]);
    grid("strength=0.5", &[], &["--grid: strength 0.5:", "--image"]);
    grid("steps=1", &["-b", "2"], &["--count: expected 1 with --grid", "seed=1,2,3"]);
    let seeds = (0..100).map(|seed| seed.to_string()).collect::<Vec<_>>().join(",");
    let size = ["-W", "4096"];
    grid(
        &format!("seed={seeds}"),
        &size,
        &["expected a sheet of at most 16384 pixels a side", "100 pictures"],
    );
    grid(
        &format!("seed={seeds};steps=1,2,3,4,5"),
        &[],
        &["expected at most 400 pictures, got 500"],
    );
    refuses(&["--grid-cells"], &["--grid-cells: expected --grid"]);
    refuses(
        &["--grid", "steps=1", "--grid-cells", "-o", "-"],
        &["--grid-cells: expected --output FILE"],
    );
    assert!(fs::read_dir(&folder).expect("a folder").next().is_none(), "something was written");
    // A batch has a line for each picture.
    fs::write(folder.join("lines"), json!({ "prompt": "x", "grid": "steps=1,2" }).to_string())
        .expect("a file");
    let batch = croquis(&["batch", text(&folder.join("lines"))]);
    assert!(batch.status == Some(1) && batch.out.contains("grid: a batch draws no contact sheets"));
}

#[test]
fn a_prompt_from_standard_input_is_read_once() {
    let folder = folder("grid-stdin");
    let line =
        "echo a red apple | \"$0\" txt2img - -s 7 --steps 1 --grid guidance=2,3 -o piped.png";
    let program = env!("CARGO_BIN_EXE_croquis");
    let mut shell = std::process::Command::new("sh");
    shell.current_dir(&folder).args(["-c", line, program]);
    shell.env("CROQUIS_CONFIG", "").env("CROQUIS_HASH_CACHE", "");
    outcome(&mut shell).success();
    draw(&folder, &["--steps", "1", "--grid", "guidance=2,3", "-o", "given.png"]).success();
    let open = |name: &str| Picture::open(folder.join(name)).expect("a picture");
    assert!(open("piped.png") == open("given.png"));
}
