//! Settings from the environment and from `croquis.toml`.

use super::{Outcome, command, fresh, outcome, text};
use std::fs;
use std::path::PathBuf;

/// Runs the program with a file of settings.
fn with(file: &PathBuf, variables: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let mut command = command();
    command.env("CROQUIS_CONFIG", file).envs(variables.iter().copied());
    outcome(command.args(arguments))
}

fn settings(name: &str, contents: &str) -> PathBuf {
    let file = fresh(name);
    fs::write(&file, contents).expect("a file of settings");
    file
}

/// The steps of the plan that `croquis plan` prints.
fn steps(run: Outcome) -> String {
    let run = run.success();
    let line = run.out.lines().find(|line| line.starts_with("step ")).expect("the steps");
    line.split_whitespace().nth(1).expect("a number").into()
}

#[test]
fn the_command_line_overrides_the_environment_and_that_the_file() {
    let common = settings("common.toml", "steps = 3\n");
    let own = settings("own.toml", "steps = 3\n[plan]\nsteps = 4\n[txt2img]\nsteps = 5\n");
    let plan = ["plan", "--limits", "webgpu"];
    let variable = [("CROQUIS_STEPS", "6")];
    assert_eq!(steps(with(&PathBuf::new(), &[], &plan)), "20");
    assert_eq!(steps(with(&common, &[], &plan)), "3");
    assert_eq!(steps(with(&own, &[], &plan)), "4");
    assert_eq!(steps(with(&own, &variable, &plan)), "6");
    assert_eq!(steps(with(&own, &variable, &[&plan[..], &["--steps", "7"]].concat())), "7");
    assert_eq!(steps(with(&own, &[("CROQUIS_STEPS", "")], &plan)), "4");
}

#[test]
fn settings_that_contradict_the_command_line_give_way() {
    let image = concat!(env!("CARGO_MANIFEST_DIR"), "/models/emoji-64/golden/image.png");
    let (file, size) = (fresh("size.png"), settings("size.toml", "hires = 2\nstrength = 0.2\n"));
    let arguments = ["txt2img", "x", "--scheduler", "ddim", "-o", text(&file), "--json"];
    let made = |more: &[&str]| with(&size, &[], &[&arguments[..], more].concat()).success().json();
    let json = made(&["--image", image, "--steps", "5"]);
    assert_eq!(json["size"], serde_json::json!([64, 64]));
    assert_eq!(json["steps"], 5);
    let json = made(&["--steps", "4"]);
    assert_eq!(json["size"], serde_json::json!([128, 128]));
}

#[test]
fn the_file_is_in_the_users_folder() {
    let home = fresh("home");
    let place = match std::env::consts::OS {
        "linux" => home.join(".config/croquis"),
        _ => return println!("not tried: the folder is another one on this system"),
    };
    fs::create_dir_all(&place).expect("a folder");
    fs::write(place.join("croquis.toml"), "verbose = 1\nguidance_scale = 2.5\n").expect("a file");
    let mut command = command();
    command.env_remove("CROQUIS_CONFIG").env_remove("XDG_CONFIG_HOME").env("HOME", &home);
    let shown = outcome(command.args(["config", "--set"]).env("CROQUIS_STORAGE", "f32")).success();
    let file = place.join("croquis.toml").display().to_string();
    for (option, value, from) in [
        ("verbose", "1", format!("{file}:1")),
        ("guidance-scale", "2.5", format!("{file}:2")),
        ("storage", "f32", "CROQUIS_STORAGE".into()),
    ] {
        let line = shown.out.lines().find(|line| line.starts_with(option));
        let words: Vec<_> = line.unwrap_or_default().split_whitespace().collect();
        assert_eq!(words, [option, value, &from], "{}", shown.out);
    }
    assert!(shown.out.starts_with(&format!("file      {file}\n")), "{}", shown.out);
}

#[test]
fn every_option_is_shown_with_its_place() {
    let file =
        settings("shown.toml", "json = true\nlora = [\"a\", \"b:0.5\"]\n[plan]\nsteps = 4\n");
    let json = with(&file, &[], &["config"]).success().json();
    let rows = json["settings"].as_array().expect("a list");
    let find = |option: &str, command: &str| {
        let has = |row: &&serde_json::Value| {
            let commands = row["commands"].as_array().expect("a list");
            row["option"] == option && commands.iter().any(|name| name == command)
        };
        let row = rows.iter().find(has).unwrap_or_else(|| panic!("no {option} of {command}"));
        (row["values"].clone(), row["from"].as_str().expect("a place").to_string())
    };
    let place = |line: usize| format!("{}:{line}", file.display());
    assert_eq!(find("lora", "txt2img"), (serde_json::json!(["a", "b:0.5"]), place(2)));
    assert_eq!(find("steps", "plan"), (serde_json::json!(["4"]), place(4)));
    assert_eq!(find("steps", "txt2img"), (serde_json::json!([]), "default".into()));
    assert_eq!(find("storage", "doctor"), (serde_json::json!(["auto"]), "default".into()));
    assert_eq!(json["file"], text(&file));
}

#[test]
fn mistakes_are_told_with_their_place() {
    let cases = [
        ("steps = 3\nstesp = 4\n", ":2: no command has an option stesp"),
        ("\n[plan]\nlora = \"x\"\n", ":3: the command plan has no option lora"),
        ("[draw]\nsteps = 1\n", ":1: there is no command draw"),
        ("steps = \"many\"\n", ":1: steps: invalid value 'many'"),
        ("steps = 1.5\n", ":1: steps: invalid value '1.5'"),
        ("width = true\n", ":1: width: expected a text or a number, got true"),
        ("json = 1\n", ":1: json: expected true or false, got 1"),
        ("storage = \"f8\"\n", "packed"),
        ("steps = 1979-05-27\n", ":1: steps: expected a text, number, truth or list"),
        ("a = [1\n", ":1: "),
    ];
    for (contents, words) in cases {
        let file = settings("mistake.toml", contents);
        let run = with(&file, &[], &["plan", "--limits", "webgpu"]);
        assert_eq!(run.complaint(1, &[text(&file), words]), None, "{contents}");
    }
    let (none, plan) = (PathBuf::new(), ["plan", "--limits", "webgpu"]);
    let run = with(&none, &[("CROQUIS_STEPS", "many")], &plan);
    assert_eq!(run.complaint(1, &["CROQUIS_STEPS: steps: invalid value 'many'"]), None);
    let run = with(&PathBuf::from("missing.toml"), &[], &plan);
    assert_eq!(run.complaint(1, &["CROQUIS_CONFIG", "missing.toml"]), None);
}
