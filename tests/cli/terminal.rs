//! Help, short names of options, and how much is printed to standard error.

use super::{croquis, fresh, text};
use std::fs;

#[test]
fn help_groups_options_under_headings_and_has_examples() {
    let help = croquis(&["txt2img", "--help"]).success().out;
    // The heading over the line that an option begins.
    let heading = |option: &str| {
        let line = help.lines().position(|line| line.trim_start().starts_with(option));
        let above = help.lines().take(line.unwrap_or_else(|| panic!("no {option}: {help}")));
        above.filter(|line| line.ends_with(':') && !line.starts_with(' ')).last()
    };
    for (option, expected) in [
        ("[PROMPT]", "Arguments:"),
        ("-n, --negative-prompt", "Prompt:"),
        ("-W, --width", "Picture:"),
        ("--steps", "Sampling:"),
        ("-s, --seed", "Sampling:"),
        ("--strength", "Input pictures:"),
        ("--unet", "Model:"),
        ("--lora", "Additions:"),
        ("-o, --output", "Output:"),
        ("-q, --quiet", "Output:"),
        ("--storage", "Device:"),
        ("-h, --help", "Options:"),
    ] {
        assert_eq!(heading(option), Some(expected), "{option}");
    }
    for command in ["txt2img", "plan", "devices", "inspect", "doctor", "synth"] {
        let help = croquis(&[command, "--help"]).success().out;
        assert!(help.contains(&format!("\nExamples:\n  croquis {command}")), "{help}");
    }
}

#[test]
fn short_names_are_those_of_their_options() {
    let (long, short) = (fresh("long.png"), fresh("short.png"));
    let longs = ["--negative-prompt", "green", "--width", "96", "--height", "64", "--seed", "3"];
    let shorts = ["-n", "green", "-W", "96", "-H", "64", "-s", "3"];
    for (options, file) in [(longs, &long), (shorts, &short)] {
        let rest = ["--steps", "1", "-o", text(file)];
        croquis(&[&["txt2img", "a red apple"], &options[..], &rest].concat()).success();
    }
    assert!(fs::read(long).expect("a picture") == fs::read(short).expect("a picture"));
}

#[test]
fn quiet_prints_the_file_name_and_errors_only() {
    let file = fresh("quiet.png");
    let arguments = ["txt2img", "a red apple", "--steps", "1", "-q", "-o", text(&file)];
    let run = croquis(&arguments).success();
    let ours = |err: &str| {
        let ours = err.lines().filter(|line| !line.contains("XDG_RUNTIME_DIR"));
        ours.map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(run.out, format!("{}\n", file.display()));
    assert_eq!(ours(&run.err), Vec::<String>::new());
    let refused = croquis(&["-q", "txt2img", "x", "--width", "65"]);
    assert_eq!(refused.complaint(1, &["width: expected a multiple of"]), None);
    assert_eq!(croquis(&["devices", "-q", "-v"]).complaint(2, &["--quiet", "--verbose"]), None);
}

#[test]
fn verbose_prints_the_records_of_the_library() {
    let file = fresh("verbose.png");
    let draw = |flags: &[&str]| {
        let arguments = ["txt2img", "a red apple", "--steps", "1", "-o", text(&file)];
        croquis(&[&arguments[..], flags].concat()).success().err
    };
    let has = |err: &str, target: &str| err.contains(&format!("croquis::{target}: "));
    let (usual, verbose, more) = (draw(&[]), draw(&["-v"]), draw(&["-vv"]));
    assert!(!has(&usual, "plan") && !has(&usual, "submit"), "{usual}");
    assert!(has(&verbose, "plan") && !has(&verbose, "submit"), "{verbose}");
    assert!(has(&more, "plan") && has(&more, "submit"), "{more}");
}
